/* source_test: what tests of a data source found. */
#ifndef SL_CLIENT_CLI_SOURCE_TEST_H
#define SL_CLIENT_CLI_SOURCE_TEST_H

#include "client/cli/cli.h"

/* One line for each environment that one was made in; none: nothing. Returns the exit code. */
int source_show_tests(const struct cli *cli, const Sluice__V1__DataSource *source);

#endif
