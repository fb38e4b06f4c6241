/* How gRPC is set up: every limit on purpose. */

#include <grpc/compression.h>
#include <grpc/support/log.h>

#include "base/absl/absl.h"
#include "base/log/log.h"
#include "server/rpc/rpc_internal.h"

#define MESSAGE_MAX_DEFAULT (4 << 20)

static grpc_arg int_arg(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static void on_grpc_log(gpr_log_func_args *args)
{
	if (args->severity == GPR_LOG_SEVERITY_ERROR) {
		log_warn("grpc", "at=%s:%d text=%s", args->file, args->line,
			 SL_QUOTE(args->message));
	}
}

void rpc_library_init(void)
{
	sl_absl_quiet();
	gpr_set_log_function(on_grpc_log);
	grpc_init();
}

grpc_server *rpc_grpc_server_new(const struct rpc_options *options)
{
	int message_max =
	    options->message_max > 0 ? (int)options->message_max : MESSAGE_MAX_DEFAULT;
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
	    int_arg(GRPC_ARG_TSI_MAX_FRAME_SIZE, 4096),
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
	    /* Clients may ping every 10 s (a little slack: timers are not exact); by
	     default more than one ping in 5 min ends in too_many_pings. */
	    int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 9000),
	};
	const grpc_channel_args all = {.num_args = SL_COUNT(args), .args = (grpc_arg *)args};
	return grpc_server_create(&all, NULL);
}
