/* absl: one switch for the Abseil that Debian's gRPC brings along.
 *
 * Debian builds Abseil without NDEBUG, so every lock that gRPC takes feeds a
 * global deadlock graph: 4 to 5 KB per connection and time, for nothing. The
 * switch is looked up by name, needs no link flag and does nothing where that
 * Abseil is absent. */
#ifndef SL_BASE_ABSL_H
#define SL_BASE_ABSL_H

/* Call before grpc_init(). Any thread; again does no harm. */
void sl_absl_quiet(void);

#endif
