/*
 * lab.h - private to tools/bench: a federation's files in a scratch directory, the real crossfed-server on
 * them, and a bare peer: a process that takes updates over the same TLS and answers, and does nothing else.
 * Not for: clients (swarm.h, line.h). Owner: the benchmark; processes are ended by deinit. Thread: main, and
 * no other may run (it forks).
 */
#ifndef XF_TOOLS_BENCH_LAB_H
#define XF_TOOLS_BENCH_LAB_H

#include "net/tls.h"
#include "tools/bench/bench.h"

/* Floats of the model are about width * width. */
struct lab_options {
  const char *parent; /* directory to make it in */
  unsigned n_client;  /* members with certificates: lab_member */
  unsigned width;
};

struct lab {
  struct bench *b;
  char dir[XF_PATH_MAX];
  pid_t server, peer; /* 0: not running */
  uint16_t server_port, peer_port;
};

/* Makes CA, certificates, plan and server.yaml. @own caller: lab_deinit, after errors too @err E_IO ... */
XF_WARN_UNUSED enum xf_rc lab_init(struct lab *lab, struct bench *b, const struct lab_options *o);
/* Ends the processes, removes the files. @own lab */
void lab_deinit(struct lab *lab);
/* Id of member i. @own caller's buffer */
void lab_member(char out[16], unsigned i);
/* Its TLS context. @own caller: xf_tls_ctx_free @err as xf_tls_ctx_new */
XF_WARN_UNUSED enum xf_rc lab_tls(const struct lab *lab, struct xf_tls_ctx **out,
                                  enum xf_pki_role role, const char *member);
/* Starts crossfed-server and waits for its port. @err E_NOTFOUND E_TIMEOUT; diag has its last line */
XF_WARN_UNUSED enum xf_rc lab_start_server(struct lab *lab);
/* Starts the bare peer for so many connections. @err E_IO E_TIMEOUT */
XF_WARN_UNUSED enum xf_rc lab_start_peer(struct lab *lab, uint32_t max_conns);

/* The bare peer's life, in its own process: listens, writes its port to `fd`, never returns. @thread main */
_Noreturn void lab_peer_main(const struct lab *lab, uint32_t max_conns, int fd);

#endif
