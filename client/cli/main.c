/* sluice: the command line. */
#include <signal.h>

#include "client/cli/cli.h"

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN); /* a write that fails is an answer */
	return cli_main(argc > 0 ? argc - 1 : 0, (const char *const *)argv + 1);
}
