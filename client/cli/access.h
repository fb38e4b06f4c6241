/* access: verbs of rights as words. */
#ifndef SL_CLIENT_CLI_ACCESS_H
#define SL_CLIENT_CLI_ACCESS_H

#include "client/cli/cli.h"

/* 0: the word is no verb. */
Sluice__V1__Verb access_verb(const char *word);
/* "manage-instances". Returns `buffer`. */
const char *access_verb_word(char buffer[static TEXT_SIZE], Sluice__V1__Verb verb);

#endif
