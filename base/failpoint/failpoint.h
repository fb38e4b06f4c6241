/* failpoint: named places where a test build dies or dawdles on purpose. In any other build they
 * are nothing.
 *
 *   bazel build --//bazel:failpoints //server:sluiced
 *   SL_FAILPOINT=commit:crash:3       at the third pass of `commit` the process kills itself
 *   SL_FAILPOINT=commit:sleep:5:200   every fifth pass of `commit` takes 200 ms longer
 *
 * Each time one line goes to stderr. What SL_FAILPOINT says is read once; what it says wrongly
 * ends the process. Any thread. */
#ifndef SL_BASE_FAILPOINT_H
#define SL_BASE_FAILPOINT_H

#ifdef SL_FAILPOINTS
void sl_failpoint_pass(const char *name);
#define SL_FAILPOINT(name) sl_failpoint_pass(name)
#else
#define SL_FAILPOINT(name) ((void)0)
#endif

#endif
