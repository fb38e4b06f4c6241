/* sealed: what lies in the table `sealed`, by whose it is. The values themselves: server/vault. */
#ifndef SL_SERVER_RECORDS_SEALED_H
#define SL_SERVER_RECORDS_SEALED_H

/* Kinds of sealed values; numbers are stored, and sealed along. */
enum sealed_kind {
	SEALED_REPOSITORY_LOGIN = 1, /* name: repository id, '/', name of the slot */
	SEALED_CONSTANT = 2,         /* name, environment */
	SEALED_SECRET = 3,           /* likewise */
	SEALED_SOURCE = 4,           /* likewise: all options of a data source */
};

#endif
