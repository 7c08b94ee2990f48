/*
 * verb.h - the entry of `crossfed sim`. Owner: argv is borrowed. Thread: main.
 */
#ifndef XF_TOOLS_SIM_VERB_H
#define XF_TOOLS_SIM_VERB_H

/* crossfed sim: many clients, one process. @err exit status @thread main */
int xf_tool_sim(int argc, char **argv);

#endif
