#include "server/config/config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct server_config, field)
#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define TIB(n) ((uint64_t)(n) << 40)
#define SECONDS(n) ((uint64_t)(n)*1000)
#define HOURS(n) SECONDS((n)*3600ULL)
#define DAYS(n) HOURS((n)*24ULL)

/* clang-format off */
static const struct sl_flag serve_flags[] = {
	{ .name = "data", .kind = SL_FLAG_TEXT, .offset = AT(data), .min = 1, .required = true, .placeholder = "DIR",
	  .help = "Folder of the store; made when it is not there, and locked while the server runs." },
	{ .name = "listen", .kind = SL_FLAG_TEXT, .offset = AT(listen), .fallback = "127.0.0.1:7443", .min = 1, .max = 255, .placeholder = "HOST:PORT",
	  .help = "Where gRPC is served. Port 0 takes a free one, which the log names." },
	{ .name = "metrics-listen", .kind = SL_FLAG_TEXT, .offset = AT(metrics_listen), .fallback = "127.0.0.1:9443", .max = 255, .placeholder = "HOST:PORT",
	  .help = "Where /metrics, /healthz and /readyz are served over HTTP, on loopback only. An empty value switches them off." },
	{ .name = "insecure", .kind = SL_FLAG_BOOL, .offset = AT(insecure),
	  .help = "Serve without TLS and without asking who calls, on loopback only. Implies --allow-local-repos." },
	{ .name = "door-listen", .kind = SL_FLAG_TEXT, .offset = AT(door_listen), .fallback = "127.0.0.1:7444", .max = 255, .placeholder = "HOST:PORT",
	  .help = "Where those who have no certificate yet get one: agents with a join token, people and bots with an access token, and late renewals. Not with --insecure. An empty value switches it off." },
	{ .name = "advertise", .kind = SL_FLAG_TEXT, .offset = AT(advertise), .max = 255, .placeholder = "HOST:PORT",
	  .help = "The address of --listen as agents reach it, for join files. Without it the address is taken that the one who invites uses." },
	{ .name = "door-advertise", .kind = SL_FLAG_TEXT, .offset = AT(door_advertise), .max = 255, .placeholder = "HOST:PORT",
	  .help = "The same of --door-listen. Without it the host of the main port's address and the door's port." },
	{ .name = "door-accepts", .kind = SL_FLAG_INT, .offset = AT(door_accepts), .fallback = "40", .max = 100000,
	  .help = "Connections that the door takes a second; more wait for their turn, up to 10 s, addresses one after another. 0 sets no bound." },
	{ .name = "door-rate", .kind = SL_FLAG_INT, .offset = AT(door_rate), .fallback = "200", .max = 100000,
	  .help = "Calls at the door a second, on average; more are refused. 0 sets no bound." },
	{ .name = "door-peer-rate", .kind = SL_FLAG_INT, .offset = AT(door_peer_rate), .fallback = "50", .max = 100000,
	  .help = "The same of one IPv4 address, or one /64 of IPv6." },
	{ .name = "agent-cert-life", .kind = SL_FLAG_DURATION, .offset = AT(agent_cert_life_ms), .fallback = "24h", .min = SECONDS(2), .max = DAYS(90),
	  .help = "How long an agent's certificate is good; it renews it at half of that." },
	{ .name = "login-cert-life", .kind = SL_FLAG_DURATION, .offset = AT(login_cert_life_ms), .fallback = "12h", .min = SECONDS(2), .max = DAYS(90),
	  .help = "The same of people and bots." },
	{ .name = "renew-late", .kind = SL_FLAG_DURATION, .offset = AT(renew_late_ms), .fallback = "90d", .max = DAYS(3650),
	  .help = "So long after its end a certificate that is not revoked may still be renewed at the door." },
	{ .name = "master-key-file", .kind = SL_FLAG_TEXT, .offset = AT(master_key_file), .placeholder = "FILE",
	  .help = "Where the master key lies, when that is neither DIR/keys/master.key nor a systemd credential sluice-master-key." },
	{ .name = "connection-age", .kind = SL_FLAG_DURATION, .offset = AT(connection_age_ms), .fallback = "1h", .max = DAYS(20),
	  .help = "A connection older than this, give or take a tenth, takes no new calls: clients connect anew, and their certificates are looked at again. Streams go on. 0 sets no bound." },
	{ .name = "map-size", .kind = SL_FLAG_BYTES, .offset = AT(map_bytes), .fallback = "64G", .min = MIB(16), .max = TIB(16),
	  .help = "Largest size of the store. Sparse: the file takes only what is written." },
	{ .name = "journal-size", .kind = SL_FLAG_BYTES, .offset = AT(journal_bytes), .fallback = "64M", .min = 64 << 10, .max = TIB(1),
	  .help = "Size of each of the store's two journal files, about, and never more than a 64th of the disk. Larger ones have the data file synced less often; after a crash that much is read at the start." },
	{ .name = "disk-reserve", .kind = SL_FLAG_BYTES, .offset = AT(disk_reserve_bytes), .fallback = "256M", .max = TIB(16),
	  .help = "With less free disk than this, only deletes are taken. 0 reserves nothing." },
	{ .name = "queue-max", .kind = SL_FLAG_INT, .offset = AT(queue_max), .fallback = "4096", .min = 1, .max = 1 << 20,
	  .help = "Writes that may wait for the store; more are refused until there is room." },
	{ .name = "requests-max", .kind = SL_FLAG_INT, .offset = AT(requests_max), .fallback = "100000", .max = 10000000,
	  .help = "Replies that are kept so that a retry with the same request id gets the same answer; the oldest goes first." },
	{ .name = "requests-keep", .kind = SL_FLAG_DURATION, .offset = AT(requests_keep_ms), .fallback = "24h", .min = SECONDS(60), .max = DAYS(30),
	  .help = "How long such a reply is kept." },
	{ .name = "log-keep", .kind = SL_FLAG_DURATION, .offset = AT(log_keep_ms), .fallback = "30d", .min = SECONDS(1), .max = DAYS(3650),
	  .help = "How far back a watch can begin. History and audit are kept longer." },
	{ .name = "audit-keep", .kind = SL_FLAG_DURATION, .offset = AT(audit_keep_ms), .fallback = "0s", .max = DAYS(36500),
	  .help = "How long audit records are kept; 0s: for good. `sluice audit cut` removes what has been exported." },
	{ .name = "heartbeat", .kind = SL_FLAG_DURATION, .offset = AT(heartbeat_ms), .fallback = "30s", .min = 100, .max = HOURS(1),
	  .help = "How often an agent says that it is there. One that misses two is late, four offline." },
	{ .name = "fetches-per-host", .kind = SL_FLAG_INT, .offset = AT(fetches_per_host), .fallback = "50", .max = 100000,
	  .help = "Agents that fetch from one Git host at once; the others wait for their turn. 0 sets no bound." },
	{ .name = "git-deadline", .kind = SL_FLAG_DURATION, .offset = AT(git_deadline_ms), .fallback = "5m", .min = SECONDS(1), .max = HOURS(24),
	  .help = "A Git job that takes longer is ended and tried again later." },
	{ .name = "git-jobs", .kind = SL_FLAG_INT, .offset = AT(git_jobs), .fallback = "2", .min = 1, .max = 64,
	  .help = "Git jobs that run at once, each in a process of its own." },
	{ .name = "poll-every", .kind = SL_FLAG_DURATION, .offset = AT(poll_every_ms), .fallback = "5m", .max = HOURS(24),
	  .help = "Pause between looks at each repository's refs for new commits, and longer while its host is away; 0 leaves it to `repo refresh`." },
	{ .name = "allow-local-repos", .kind = SL_FLAG_BOOL, .offset = AT(allow_local_repos),
	  .help = "Take repositories by file:// and git://, and on hosts with loopback, link-local or private addresses." },
	{ .name = "message-max", .kind = SL_FLAG_BYTES, .offset = AT(message_max_bytes), .fallback = "4M", .min = KIB(64), .max = MIB(64),
	  .help = "Largest message of a call." },
	{ .name = "connections-max", .kind = SL_FLAG_INT, .offset = AT(connections_max), .fallback = "0", .max = 1000000,
	  .help = "Connections at once; more are reset. 0 means as many as there are file descriptors for." },
	{ .name = "accepts-per-second", .kind = SL_FLAG_INT, .offset = AT(accepts_per_second), .fallback = "300", .max = 100000,
	  .help = "New connections a second, on average; more are reset. 0 sets no bound." },
	{ .name = "calls-per-second", .kind = SL_FLAG_INT, .offset = AT(calls_per_second), .fallback = "200", .max = 1000000,
	  .help = "Calls a second of one principal, on average; more are refused (RATE_LIMITED). Agents are not counted. 0 sets no bound." },
	{ .name = "calls-burst", .kind = SL_FLAG_INT, .offset = AT(calls_burst), .fallback = "400", .min = 1, .max = 1000000,
	  .help = "Calls of one principal that may come at once." },
	{ .name = "drain", .kind = SL_FLAG_DURATION, .offset = AT(drain_ms), .fallback = "4s", .min = 100, .max = SECONDS(600),
	  .help = "How long calls that run may take to end after SIGTERM." },
	{ .name = "log-level", .kind = SL_FLAG_TEXT, .offset = AT(log_level), .fallback = "info", .choices = "debug|info|warn|error", .placeholder = "LEVEL",
	  .help = "The least of what is logged." },
	{ .name = "watchers-max", .kind = SL_FLAG_INT, .offset = AT(watchers_max), .fallback = "4096", .min = 1, .max = 1000000,
	  .help = "Watches at once; more are refused." },
	{ .name = "bundles-max", .kind = SL_FLAG_INT, .offset = AT(bundles_max), .fallback = "8", .min = 1, .max = 256,
	  .help = "Bundles that are sent at once, to agents with --bundles-from server and by `sluice bundle export`; more are refused, and agents try again." },
	{ .name = "page-max", .kind = SL_FLAG_INT, .offset = AT(page_max), .fallback = "1000", .min = 1, .max = 10000,
	  .help = "Most records in one page of a list; a caller that asks for more gets this many." },
	{ 0 },
};
/* clang-format on */

static const struct sl_example serve_examples[] = {
    {"sluiced serve --data /var/lib/sluice --listen 0.0.0.0:7443",
     "Serve over TLS to whoever holds a certificate, with the keys that `sluiced init` has made."},
    {"sluiced serve --data /var/lib/sluice --insecure",
     "Serve on 127.0.0.1:7443 to programs of this machine."},
    {"SLUICE_DATA=/var/lib/sluice SLUICE_INSECURE=true sluiced serve",
     "The same, told by the environment."},
    {0},
};

static const struct sl_exit_code serve_exit_codes[] = {
    {0, "stopped by SIGTERM or SIGINT"},
    {1, "could not start, for instance since another server holds the folder"},
    {3, "the storage failed"},
    {64, "the command line or the environment is wrong"},
    {0, NULL},
};

const struct sl_command server_serve_command = {
    .name = "serve",
    .synopsis = "--data DIR",
    .summary = "Run the control plane",
    .description = "Serves the API of sluice.v1, with health and reflection, until SIGTERM or "
		   "SIGINT: then health turns "
		   "NOT_SERVING, calls that run may end, streams are ended with UNAVAILABLE, and "
		   "what was accepted is "
		   "written.\n\n"
		   "Clients need a certificate of this server (TLS 1.3). Its keys are in DIR/keys, "
		   "where `sluiced init` puts them; certificates renew themselves, and files that "
		   "are replaced there are taken up without a restart. Every flag can also be set "
		   "in the environment; the command line wins.",
    .flags = serve_flags,
    .env_prefix = "SLUICE_",
    .examples = serve_examples,
    .exit_codes = serve_exit_codes,
};

enum { HOST_MAX_BYTES = 255 };

/* Splits "host:port" and "[v6]:port"; false: neither. */
static bool split_address(const char *address, char host[static HOST_MAX_BYTES + 1])
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || colon == address) {
		return false;
	}
	size_t digits = strspn(colon + 1, "0123456789");
	if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' ||
	    strtoul(colon + 1, NULL, 10) > UINT16_MAX) {
		return false;
	}
	const char *start = address;
	const char *end = colon;
	if (*start == '[') {
		start++;
		end--;
		if (*end != ']') {
			return false;
		}
	} else if (memchr(start, ':', (size_t)(end - start)) != NULL) {
		return false; /* IPv6 goes in brackets, else it could be read in two ways */
	}
	size_t length = end > start ? (size_t)(end - start) : 0;
	if (length == 0 || length > HOST_MAX_BYTES) {
		return false;
	}
	memcpy(host, start, length);
	host[length] = '\0';
	return true;
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		return ntohl(v4.s_addr) >> 24 == 127;
	}
	if (inet_pton(AF_INET6, host, &v6) == 1) {
		return IN6_IS_ADDR_LOOPBACK(&v6);
	}
	return strcmp(host, "localhost") == 0;
}

static sl_code check_address(const char *flag, const char *address, struct sl_err *err)
{
	char host[HOST_MAX_BYTES + 1];
	if (!split_address(address, host)) {
		return sl_err_set(
		    err, SL_INVALID_ARGUMENT,
		    "%s must be HOST:PORT (an IPv6 address in brackets, port 0 to 65535), is '%s'",
		    flag, address);
	}
	return SL_OK;
}

static sl_code check_loopback(const char *flag, const char *address, const char *why,
			      struct sl_err *err)
{
	char host[HOST_MAX_BYTES + 1];
	sl_code code = check_address(flag, address, err);
	if (code != SL_OK) {
		return code;
	}
	if (split_address(address, host) && !is_loopback(host)) {
		return sl_err_set(
		    err, SL_INVALID_ARGUMENT,
		    "%s must be on loopback (127.0.0.0/8, [::1] or localhost) %s, is '%s'", flag,
		    why, address);
	}
	return SL_OK;
}

sl_code server_config_settle(struct server_config *config, struct sl_err *err)
{
	sl_code code = config->insecure
			   ? check_loopback("--listen", config->listen, "with --insecure", err)
			   : check_address("--listen", config->listen, err);
	if (code == SL_OK && config->metrics_listen[0] != '\0') {
		code = check_loopback("--metrics-listen", config->metrics_listen, "always", err);
	}
	if (code == SL_OK && !config->insecure && config->door_listen[0] != '\0') {
		code = check_address("--door-listen", config->door_listen, err);
	}
	if (code == SL_OK && config->advertise[0] != '\0') {
		code = check_address("--advertise", config->advertise, err);
	}
	if (code == SL_OK && config->door_advertise[0] != '\0') {
		code = check_address("--door-advertise", config->door_advertise, err);
	}
	if (code != SL_OK) {
		return code;
	}
	config->allow_local_repos |= config->insecure;
	return SL_OK;
}
