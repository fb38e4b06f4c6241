/* token: `sluiced token`: an access token of `admin`, made on the server's host. */
#ifndef SL_SERVER_TOKEN_H
#define SL_SERVER_TOKEN_H

#include "base/flags/flags.h"

struct token_config {
	const char *data, *server, *door;
	bool login;
};

extern const struct sl_command server_token_command;

/* Returns the exit status. */
int server_token(const struct token_config *config);

#endif
