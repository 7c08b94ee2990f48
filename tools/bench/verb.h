/*
 * verb.h - the entry of `crossfed bench`. Owner: argv is borrowed. Thread: main.
 */
#ifndef XF_TOOLS_BENCH_VERB_H
#define XF_TOOLS_BENCH_VERB_H

/* crossfed bench: speeds and sizes against probes of this machine. @err exit status @thread main */
int xf_tool_bench(int argc, char **argv);

#endif
