/* invite: join files, for `instance add` and `instance rejoin`. */
#ifndef SL_CLIENT_CLI_INVITE_H
#define SL_CLIENT_CLI_INVITE_H

#include "client/cli/cli.h"

/* The host of "host:port" with another port; lives as long as cli. NULL: out of memory. */
char *cli_with_port(struct cli *cli, const char *address, uint32_t port);

struct rejoin_flags {
	uint64_t ttl_ms;
};

#define CLI_TTL_FLAG(type, field)                                                                  \
	{                                                                                          \
		.name = "ttl", .kind = SL_FLAG_DURATION, .offset = offsetof(type, field),          \
		.fallback = "15m", .min = 60000, .max = 604800000,                                 \
		.help = "How long the join file's one-time token is good."                         \
	}

/* Prints the join file of an instance on stdout, and what to do with it on stderr. Returns an enum
 * cli_exit. */
int cli_invite(struct cli *cli, const char *instance, uint64_t ttl_ms);

#endif
