/*
 * tools.h - the verbs of the `crossfed` command, one file each. argv[0] is the verb; the result is the exit
 * status (enum xf_exit in base/rc.h). A verb prints facts to stdout, complaints to stderr.
 * Not for: anything that another program needs; that belongs in a library.
 * Owner: argv is borrowed. Thread: main, before any other thread.
 */
#ifndef XF_TOOLS_TOOLS_H
#define XF_TOOLS_TOOLS_H

/* crossfed account: epsilon of a number of Gaussian releases. @err exit status @thread main */
int xf_tool_account(int argc, char **argv);
/* crossfed adapt: a trained start at a client that has not trained. @err exit status @thread main */
int xf_tool_adapt(int argc, char **argv);
/* crossfed status, rounds, pause, resume, drain, reload: argv[0] says which. @err exit status @thread main */
int xf_tool_admin(int argc, char **argv);
/* crossfed data: looks at data sets, splits them, makes synthetic ones. @err exit status @thread main */
int xf_tool_data(int argc, char **argv);
/* crossfed inspect: what a model file or a state directory holds. @err exit status @thread main */
int xf_tool_inspect(int argc, char **argv);
/* crossfed pki: the private CA, and the silo's side of enrolment. @err exit status @thread main */
int xf_tool_pki(int argc, char **argv);
/* crossfed plan: checks a plan and prints it resolved. @err exit status @thread main */
int xf_tool_plan(int argc, char **argv);
/* crossfed plot: a results file as a picture. @err exit status @thread main */
int xf_tool_plot(int argc, char **argv);
/* crossfed verify: whether state directories keep the invariants. @err exit status @thread main */
int xf_tool_verify(int argc, char **argv);
/* crossfed recommend: a silo's best items for a user. @err exit status @thread main */
int xf_tool_recommend(int argc, char **argv);
/* crossfed report: the arms of each silo of a finished run. @err exit status @thread main */
int xf_tool_report(int argc, char **argv);

#endif
