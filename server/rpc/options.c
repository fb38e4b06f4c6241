/* How gRPC is set up: every limit on purpose. */

#include <limits.h>

#include <grpc/compression.h>
#include <grpc/support/log.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/tls/hooks.h"
#include "server/rpc/rpc_internal.h"

#define MESSAGE_MAX_DEFAULT (4 << 20)
#define LOG_LINES_PER_SECOND 5

static grpc_arg int_arg(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

/* Every stranger's failed handshake is a line: the first few of a second are enough. Returns
 * false, and counts, beyond that. */
static bool may_log(unsigned *ret_dropped)
{
	static atomic_ullong second_and_lines; /* the second in the upper half */
	static atomic_uint dropped;
	unsigned long long second = sl_clock_mono_ms() / 1000 << 32;
	unsigned long long seen = atomic_load(&second_and_lines);
	unsigned long long next = seen;
	do {
		next = (seen & ~0xffffffffULL) == second ? seen + 1 : second + 1;
	} while (!atomic_compare_exchange_weak(&second_and_lines, &seen, next));
	if ((next & 0xffffffffULL) > LOG_LINES_PER_SECOND) {
		atomic_fetch_add(&dropped, 1);
		return false;
	}
	*ret_dropped = atomic_exchange(&dropped, 0);
	return true;
}

static void on_grpc_log(gpr_log_func_args *args)
{
	unsigned dropped = 0;
	if (args->severity == GPR_LOG_SEVERITY_ERROR && may_log(&dropped)) {
		log_warn("grpc", "at=%s:%d text=%s dropped=%u", args->file, args->line,
			 SL_QUOTE(args->message), dropped);
	}
}

void rpc_library_init(void)
{
	tls_hooks_install();
	gpr_set_log_function(on_grpc_log);
	grpc_init();
}

grpc_server *rpc_grpc_server_new(const struct rpc_options *options)
{
	int message_max =
	    options->message_max > 0 ? (int)options->message_max : MESSAGE_MAX_DEFAULT;
	int age_ms = options->connection_age_ms > 0 ? (int)options->connection_age_ms : INT_MAX;
	int grace_ms =
	    options->connection_grace_ms > 0 ? (int)options->connection_grace_ms : INT_MAX;
	const grpc_arg args[] = {
	    /* Else a second server binds the same port and takes half of the calls. */
	    int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
	    int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, message_max),
	    /* Agents use few, load generators hundreds; without limit by default. */
	    int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024),
	    /* One request's headers; more is refused. */
	    int_arg(GRPC_ARG_MAX_METADATA_SIZE, 16 << 10),
	    /* A silent stranger is gone after this; 120 s by default. */
	    int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000),
	    /* Smaller staging buffers for each TLS connection. */
	    int_arg(GRPC_ARG_TSI_MAX_FRAME_SIZE, TLS_FRAME_BYTES),
	    /* The handshake asks whether an identity is revoked, and sees new certificates:
	     * so clients come through it now and then. INT_MAX is gRPC's "never". */
	    int_arg(GRPC_ARG_MAX_CONNECTION_AGE_MS, age_ms),
	    int_arg(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, grace_ms),
	    /* Nobody reads its statistics, every connection pays for them. */
	    int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
	    /* Nothing is sent compressed, and nothing read (UNIMPLEMENTED, as the protocol
	     * wants it): gRPC 1.51 unpacks a message before it looks at its size, so that
	     * 1 MB costs 1 GB. */
	    int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
	    int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
	    int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE),
	    /* Dead peers are found in 80 s, idle connections included. */
	    int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 60000),
	    int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000),
	    int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
	    int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
	    /* Else what comes is answered with a ping, to measure the bandwidth: twice the work
	     * for a heartbeat. A large message gets its window without. */
	    int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0),
	    /* Clients may ping every 10 s (a little slack: timers are not exact); by
	     default more than one ping in 5 min ends in too_many_pings. */
	    int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 9000),
	};
	const grpc_channel_args all = {.num_args = SL_COUNT(args), .args = (grpc_arg *)args};
	return grpc_server_create(&all, NULL);
}
