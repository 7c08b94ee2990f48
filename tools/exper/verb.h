/*
 * verb.h - the verbs about experiments. argv[0] is the verb; the result is the exit status (enum xf_exit in base/rc.h).
 * Owner: argv is borrowed. Thread: main.
 */
#ifndef XF_EXPER_VERB_H
#define XF_EXPER_VERB_H

/* crossfed compare: settings over seeds, side by side. @err exit status @thread main */
int xf_tool_compare(int argc, char **argv);
/* crossfed rerun: a run directory's run again. @err exit status @thread main */
int xf_tool_rerun(int argc, char **argv);
/* crossfed sim sweep: a plan over a grid and seeds. @err exit status @thread main */
int xf_tool_sweep(int argc, char **argv);

#endif
