/* config: what `sluiced serve` can be told, as one table of flags.
 *
 * Every flag is also a variable: --map-size is SLUICE_MAP_SIZE. Filled by
 * sl_command_parse() with server_serve_command, then settled once; afterwards
 * it is read-only and may be shared by all threads. Texts are borrowed from
 * the struct sl_args of the parse, which therefore lives as long. */
#ifndef SL_SERVER_CONFIG_H
#define SL_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"
#include "base/flags/flags.h"

struct server_config {
	const char *data;           /* folder of the store, never "" */
	const char *listen;         /* HOST:PORT, port 0: any free one */
	const char *metrics_listen; /* HOST:PORT on loopback; "": off */
	bool insecure;
	const char *door_listen;                /* HOST:PORT, port 0: any free one; "": no door */
	const char *advertise, *door_advertise; /* HOST:PORT for clients; "": they know */
	uint64_t door_accepts;                  /* a second; 0: no bound */
	uint64_t door_rate, door_peer_rate;     /* likewise */
	uint64_t agent_cert_life_ms, login_cert_life_ms;
	uint64_t renew_late_ms; /* so long after its end a certificate may be renewed at the door */
	const char *master_key_file; /* "": in the key folder, or a credential of systemd */
	uint64_t connection_age_ms;  /* 0: as old as they like */
	uint64_t map_bytes;          /* largest size that the store can grow to */
	uint64_t journal_bytes;      /* of each of the store's two journal files, about */
	uint64_t disk_reserve_bytes; /* below this only deletes are taken; 0: no reserve */
	uint64_t queue_max;          /* writes that may wait */
	uint64_t requests_max;       /* replies kept for retries */
	uint64_t requests_keep_ms;
	uint64_t log_keep_ms;   /* how long watchers can go back */
	uint64_t audit_keep_ms; /* 0: for good */
	uint64_t heartbeat_ms;
	uint64_t fetches_per_host;
	uint64_t git_deadline_ms; /* of one Git job */
	uint64_t git_jobs;        /* Git jobs at once */
	uint64_t poll_every_ms;   /* between looks at a repository's refs; 0: none by itself */
	bool allow_local_repos;
	uint64_t message_max_bytes;
	uint64_t connections_max;    /* 0: as many as descriptors allow */
	uint64_t accepts_per_second; /* 0: no bound */
	uint64_t calls_per_second;   /* of one principal; 0: no bound */
	uint64_t calls_burst;
	uint64_t drain_ms;     /* from SIGTERM to the end of what still runs */
	const char *log_level; /* a name that sl_log_level_parse() knows */
	uint64_t watchers_max;
	uint64_t bundles_max;
	uint64_t page_max; /* records in a page of a list */
};

/* The flags and the help of `sluiced serve`. */
extern const struct sl_command server_serve_command;

/* Checks what one row cannot say, and derives what follows from other flags:
 * addresses are HOST:PORT; --metrics-listen is on loopback; with --insecure
 * --listen is on loopback, too, and --allow-local-repos holds. SL_INVALID_ARGUMENT names the flag;
 * the config is then untouched. */
SL_MUST_USE sl_code server_config_settle(struct server_config *config, struct sl_err *err);

#endif
