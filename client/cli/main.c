/* sluice: the command line. A reader of its output that goes away ends it by SIGPIPE, as is usual.
 */
#include "base/tls/hooks.h"
#include "client/cli/cli.h"

int main(int argc, char **argv)
{
	tls_hooks_install();
	return cli_main(argc > 0 ? argc - 1 : 0, (const char *const *)argv + 1);
}
