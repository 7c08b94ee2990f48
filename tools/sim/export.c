/* crossfed sim --export: the simulated federation as files for the daemons (decision 36): started with full cohort and
   patience on this host, they give the simulator's bytes. Keys and certificates are the operator's to make. */
#include "base/digest.h"
#include "base/fs.h"
#include "crypto/stream.h"
#include "data/idx.h"
#include "tools/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20, TABLE_MAX = 1 << 26, SECRET_MODE = 0700 };

struct out {
  const struct sim *sim;
  const struct xf_fs *fs;
  char dir[XF_PATH_MAX];
  struct xf_diag *diag;
};

static enum xf_rc put_file(const struct out *o, const char *dir, const char *name,
                           struct xf_buf *text) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, dir, name);
  return rc ? rc : xf_fs_replace(o->fs, path, text->p, text->len, o->diag);
}

static enum xf_rc put_tls(struct xf_buf *t, const struct out *o, const char *name) {
  return xf_buf_printf(t,
                       "tls: {cert: \"%s/%s.pem\", key: \"%s/%s.key\", ca: \"%s/ca/ca.pem\", crl: "
                       "\"%s/ca/crl.pem\"}\n",
                       o->dir, name, o->dir, name, o->dir, o->dir);
}

/* Sequences are written beside the config: one file, or one for each part of a predefined split. */
static enum xf_rc put_sequences(struct xf_buf *t, const struct out *o, const struct sim_client *c,
                                const char *dir) {
  static const struct {
    const char *name;
    uint8_t part;
  } file[] = {
      {"data.txt", XF_PART_TRAIN}, {"valid.txt", XF_PART_VALID}, {"test.txt", XF_PART_TEST}};
  const struct xf_seqset *set = &xf_silo_data(c->silo)->seqs;
  const bool parts = o->sim->plan.data.split.kind == XF_PLAN_SPLIT_PREDEFINED;
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < (parts ? 3 : 1) && !rc; i++) {
    char path[XF_PATH_MAX];
    rc = xf_fs_join(path, dir, file[i].name);
    if (!rc)
      rc = xf_seqset_save(set, parts ? file[i].part : XF_SEQSET_ALL, c->domain, path, o->diag);
  }
  if (!rc) rc = xf_buf_printf(t, "data:\n  path: \"%s/data.txt\"\n", dir);
  if (!rc && parts) rc = xf_buf_printf(t, "  split: \"%s/valid.txt,%s/test.txt\"\n", dir, dir);
  return rc;
}

/* Images are written beside the config, each part with the names that a folder of images has. */
static enum xf_rc put_images(struct xf_buf *t, const struct out *o, const struct sim_client *c,
                             const char *dir) {
  const struct xf_table *table = &xf_silo_data(c->silo)->table;
  char images[XF_PATH_MAX], labels[XF_PATH_MAX];
  enum xf_rc rc = XF_OK;
  for (int test = 0; test < 2 && !rc; test++) {
    rc = xf_fs_join(images, dir, test ? "t10k-images-idx3-ubyte" : "train-images-idx3-ubyte");
    if (!rc)
      rc = xf_fs_join(labels, dir, test ? "t10k-labels-idx1-ubyte" : "train-labels-idx1-ubyte");
    if (!rc) rc = xf_idx_save(table, test != 0, images, labels, o->diag);
  }
  return rc ? rc : xf_buf_printf(t, "data:\n  path: \"%s/train-images-idx3-ubyte\"\n", dir);
}

/* A generated table: numbers that read back as the same floats. */
static enum xf_rc put_table(struct xf_buf *t, const struct out *o, const struct sim_client *c,
                            const char *dir) {
  const struct xf_table *table = &xf_silo_data(c->silo)->table;
  struct xf_buf lines;
  xf_buf_init(&lines, TABLE_MAX);
  enum xf_rc rc = xf_buf_put_str(&lines, "x\ty\n");
  for (size_t i = 0; i < table->n && !rc; i++)
    rc = xf_buf_printf(&lines, "%.9g\t%.9g\n", (double)table->x[i], (double)table->y[i]);
  if (!rc) rc = put_file(o, dir, "data.tsv", &lines);
  xf_buf_deinit(&lines);
  return rc ? rc : xf_buf_printf(t, "data:\n  path: \"%s/data.tsv\"\n", dir);
}

/* Where a client's data lie: interactions are written beside its config, a table stays where the plan found it. */
static enum xf_rc put_data(struct xf_buf *t, const struct out *o, const struct sim_client *c,
                           const char *dir) {
  const struct xf_plan_sim_part *p = &o->sim->plan.sim;
  const struct xf_dataset *data = xf_silo_data(c->silo);
  if (o->sim->plan.data.kind == XF_PLAN_DATA_IDX) return put_images(t, o, c, dir);
  if (p->clients.by == XF_PLAN_CLIENTS_SINUSOID) return put_table(t, o, c, dir);
  if (data->kind == XF_DATASET_TABLE) {
    uint32_t i = 0; /* clients are sorted by id; the plan's files are not */
    char id[XF_PLAN_CLIENT_ID];
    const char *pattern = p->clients.name[0] ? p->clients.name : "{}";
    while (i < p->clients.n_files &&
           (xf_plan_client_id(id, pattern, p->clients.files[i]) || strcmp(id, c->id) != 0))
      i++;
    char *root = realpath(p->data, NULL), *split = p->split[0] ? realpath(p->split, NULL) : NULL;
    enum xf_rc rc = root && i < p->clients.n_files
                        ? xf_buf_printf(t, "data:\n  path: \"%s/%s\"\n", root, p->clients.files[i])
                        : xf_diag_set(o->diag, XF_E_NOTFOUND, "%s: not found any more", p->data);
    if (!rc && split) rc = xf_buf_printf(t, "  split: \"%s\"\n  center: \"%u\"\n", split, i);
    free(root);  /* lint: allow free, realpath's own */
    free(split); /* lint: allow free, realpath's own */
    return rc;
  }
  if (data->kind == XF_DATASET_SEQUENCES) return put_sequences(t, o, c, dir);
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, dir, "data.tsv");
  if (!rc) rc = xf_interactions_save(&data->inter, path, o->diag);
  uint32_t column = 2;
  if (!rc) rc = xf_buf_printf(t, "data:\n  path: \"%s\"\n  columns: {user: 1, item: 2", path);
  if (!rc && data->inter.domain) rc = xf_buf_printf(t, ", domain: %u", ++column);
  if (!rc && data->inter.value) rc = xf_buf_printf(t, ", value: %u", ++column);
  if (!rc && data->inter.time) rc = xf_buf_printf(t, ", time: %u", ++column);
  if (!rc) rc = xf_buf_printf(t, "}\n  align_key: \"%s/align.key\"\n", o->dir);
  return rc;
}

/* A file that stays where the plan found it. */
static enum xf_rc put_path(struct xf_buf *t, const struct out *o, const char *indent,
                           const char *name, const char *path) {
  char *full = realpath(path, NULL);
  const enum xf_rc rc = full ? xf_buf_printf(t, "%s%s: \"%s\"\n", indent, name, full)
                             : xf_diag_set(o->diag, XF_E_NOTFOUND, "%s: not found any more", path);
  free(full); /* lint: allow free, realpath's own */
  return rc;
}

static enum xf_rc put_categories(struct xf_buf *t, const struct out *o) {
  const char *path = o->sim->plan.sim.categories;
  if (!path[0]) return XF_OK;
  const enum xf_rc rc = xf_buf_put_str(t, "serve:\n");
  return rc ? rc : put_path(t, o, "  ", "categories", path);
}

static enum xf_rc put_kg(struct xf_buf *t, const struct out *o) {
  const struct xf_plan_sim_part *p = &o->sim->plan.sim;
  const char *const path[] = {p->kg.triples, p->kg.items, p->kg.relations};
  const char *const name[] = {"triples", "items", "relations"};
  enum xf_rc rc = path[0][0] ? xf_buf_put_str(t, "  kg:\n") : XF_OK;
  for (size_t i = 0; i < 3 && path[0][0] && !rc; i++)
    if (path[i][0]) rc = put_path(t, o, "    ", name[i], path[i]);
  return rc;
}

static enum xf_rc put_client(const struct out *o, const struct sim_client *c) {
  char dir[XF_PATH_MAX];
  struct xf_buf t;
  xf_buf_init(&t, TEXT_MAX);
  enum xf_rc rc = xf_fs_join(dir, o->dir, c->id);
  if (!rc) rc = o->fs->mkdir(o->fs, dir, SECRET_MODE);
  if (!rc)
    rc = xf_buf_printf(&t,
                       "federation: sim\nmember: %s\ncoordinator: 127.0.0.1\n"
                       "coordinator_port_file: \"%s/port\"\nstate_dir: \"%s/state\"\n",
                       c->id, o->dir, dir);
  if (!rc) rc = put_tls(&t, o, c->id);
  if (!rc) rc = put_data(&t, o, c, dir);
  if (!rc) rc = put_kg(&t, o);
  if (!rc) rc = put_categories(&t, o);
  if (!rc) rc = xf_buf_printf(&t, "policy: {allow_aligned: true}\nexit_when_done: true\n");
  if (!rc) rc = put_file(o, dir, "client.yaml", &t);
  xf_buf_deinit(&t);
  return rc;
}

static enum xf_rc put_server(const struct out *o) {
  struct xf_buf t;
  xf_buf_init(&t, TEXT_MAX);
  enum xf_rc rc =
      xf_buf_printf(&t,
                    "federation: sim\nplan: \"%s/plan.yaml\"\nstate_dir: \"%s/coordinator\"\n"
                    "listen: {address: \"127.0.0.1:0\"}\nport_file: \"%s/port\"\n",
                    o->dir, o->dir, o->dir);
  if (!rc) rc = put_tls(&t, o, "coordinator");
  if (!rc) rc = xf_buf_printf(&t, "exit_when_done: true\nmembers:\n");
  for (size_t i = 0; i < o->sim->n_client && !rc; i++)
    rc = xf_buf_printf(&t, "  - {id: %s, domain: \"%s\"}\n", o->sim->client[i].id,
                       o->sim->client[i].domain);
  if (!rc) rc = put_file(o, o->dir, "server.yaml", &t);
  xf_buf_deinit(&t);
  return rc;
}

static enum xf_rc put_key(const struct out *o) {
  uint8_t key[XF_SILO_ALIGN_KEY];
  char hex[2 * XF_SILO_ALIGN_KEY + 1];
  struct xf_buf t;
  sim_align_key(key, &o->sim->plan);
  xf_hex_print(hex, key, sizeof key);
  xf_buf_init(&t, sizeof hex);
  enum xf_rc rc = xf_buf_put(&t, hex, sizeof hex - 1);
  if (!rc) rc = put_file(o, o->dir, "align.key", &t);
  xf_buf_deinit(&t);
  return rc;
}

static enum xf_rc put_plan(const struct out *o) {
  struct xf_buf t;
  xf_buf_init(&t, TEXT_MAX);
  enum xf_rc rc = xf_plan_print(&t, &o->sim->plan);
  if (!rc) rc = put_file(o, o->dir, "plan.yaml", &t);
  xf_buf_deinit(&t);
  return rc;
}

enum xf_rc sim_export(const struct sim *sim, const char *dir, struct xf_diag *diag) {
  struct out o = {.sim = sim, .fs = xf_fs_posix(), .diag = diag};
  if (sim->plan.stages[0].fed.edge_rounds)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "fed.edge_rounds: only the simulator averages by edges; daemons take a plan "
                       "without it, in which every round averages all domains");
  enum xf_rc rc = o.fs->mkdir(o.fs, dir, SECRET_MODE);
  char *full = rc ? NULL : realpath(dir, NULL);
  if (!full || strlen(full) >= sizeof o.dir) {
    free(full); /* lint: allow free, realpath's own */
    return xf_diag_set(diag, rc ? rc : XF_E_LIMIT, "%s: cannot be made", dir);
  }
  memcpy(o.dir, full, strlen(full) + 1);
  free(full); /* lint: allow free, realpath's own */
  rc = put_plan(&o);
  if (!rc) rc = put_key(&o);
  if (!rc) rc = put_server(&o);
  for (size_t i = 0; i < sim->n_client && !rc; i++) rc = put_client(&o, &sim->client[i]);
  if (rc) return xf_diag_prefix(diag, rc, "export to %s", dir);
  printf("exported to %s: plan.yaml, server.yaml, align.key and a folder for each of %zu silos\n\n"
         "certificates, in that folder:\n"
         "  crossfed pki ca --dir ca --federation sim\n"
         "  crossfed pki issue --dir ca --role coordinator --member coordinator\n",
         o.dir, sim->n_client);
  for (size_t i = 0; i < sim->n_client; i++)
    printf("  crossfed pki issue --dir ca --role client --member %s\n", sim->client[i].id);
  printf("\nthen: crossfed-server -c server.yaml, and crossfed-client -c ID/client.yaml for each "
         "silo\n");
  return XF_OK;
}
