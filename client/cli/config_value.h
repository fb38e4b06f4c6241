/* config_value: values of environments, read and shown side by side. */
#ifndef SL_CLIENT_CLI_CONFIG_VALUE_H
#define SL_CLIENT_CLI_CONFIG_VALUE_H

#include "client/cli/cli.h"

/* A column for each environment, between a first one and, when `last` is not NULL, a last one.
 * NULL: cli->error says why. */
struct config_columns {
	const Sluice__V1__ListEnvironmentsResponse *list;
	const char *headings[16];
};
bool config_columns_init(struct cli *cli, const char *first, const char *last,
			 struct config_columns *ret_columns);

/* All that there is. */
struct config_lists {
	const Sluice__V1__ListConfigNamesResponse *names;
	const Sluice__V1__ListSourcesResponse *sources;
};
/* False: cli->error says why. */
bool config_lists_read(struct cli *cli, struct config_lists *ret_lists);
/* There is a value, of whatever bytes. */
bool config_is_there(Sluice__V1__ConfigState state);

/* Is what `config apply` is given whole and well formed, with all values that it says where they
 * are? Not CLI_DONE: *err says what is wrong. Nothing is done, no server is asked. */
struct sl_json;
enum cli_exit config_file_check(const struct sl_json *root,
				const Sluice__V1__ListEnvironmentsResponse *environments,
				const struct config_lists *lists, struct sl_err *err);

/* The cell of a value; NULL: it is not to be seen. */
void config_put_value(struct table *table, Sluice__V1__ConfigKind kind,
		      const Sluice__V1__ConfigValue *value);

#endif
