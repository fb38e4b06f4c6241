#include "client/cli/config_value.h"

#include <string.h>

#include "client/cli/commands.h"

enum { SHOWN_MAX = 40 };

bool config_columns_init(struct cli *cli, const char *first, const char *last,
			 struct config_columns *ret_columns)
{
	struct config_columns *columns = ret_columns;
	size_t count = 0, room = SL_COUNT(columns->headings) - 2;
	*columns = (struct config_columns){.list = cli_environments(cli)};
	if (columns->list == NULL) {
		return false;
	}
	columns->headings[count++] = first;
	for (size_t i = 0; i < columns->list->n_environments && count < room; i++) {
		columns->headings[count++] = columns->list->environments[i]->name;
	}
	columns->headings[count] = last;
	return true;
}

bool config_lists_read(struct cli *cli, struct config_lists *ret_lists)
{
	Sluice__V1__ListConfigNamesRequest names = SLUICE__V1__LIST_CONFIG_NAMES_REQUEST__INIT;
	Sluice__V1__ListSourcesRequest sources = SLUICE__V1__LIST_SOURCES_REQUEST__INIT;
	names.workspace = sources.workspace = cli->workspace;
	ret_lists->names = cli_list(cli, SLUICE_RPC_ListConfigNames, &names.base);
	ret_lists->sources =
	    ret_lists->names != NULL ? cli_list(cli, SLUICE_RPC_ListSources, &sources.base) : NULL;
	return ret_lists->sources != NULL;
}

bool config_is_there(Sluice__V1__ConfigState state)
{
	return state != SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
}

/* One line of it, cut between characters. */
static void put_text(struct table *table, const char *value)
{
	size_t line = strcspn(value, "\r\n"), shown = line < SHOWN_MAX ? line : SHOWN_MAX;
	while (shown > 0 && ((unsigned char)value[shown] & 0xc0) == 0x80) {
		shown--;
	}
	table_put(table, TEXT_PLAIN, "%.*s%s", (int)shown, value,
		  value[shown] != '\0' ? "..." : "");
}

void config_put_value(struct table *table, Sluice__V1__ConfigKind kind,
		      const Sluice__V1__ConfigValue *value)
{
	switch (value != NULL ? value->state : SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSPECIFIED) {
	case SLUICE__V1__CONFIG_STATE__CONFIG_STATE_SET:
		if (kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET) {
			table_put(table, TEXT_GOOD, "********");
		} else {
			put_text(table, value->value);
		}
		break;
	case SLUICE__V1__CONFIG_STATE__CONFIG_STATE_EMPTY:
		table_put(table, TEXT_BUSY, "(empty)");
		break;
	case SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET:
		table_put(table, TEXT_FAINT, "(unset)");
		break;
	case SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNREADABLE:
		table_put(table, TEXT_BAD, "(unreadable)");
		break;
	default:
		table_put(table, TEXT_FAINT, "(hidden)");
		break;
	}
}
