#!/bin/sh
# libsluice.so shows its own functions and messages, and nothing of what it is made of.
set -eu
symbols=$(nm -D --defined-only client/shared/libsluice.so | awk '{ print $3 }')
for name in sluice_client_new sluice_promote sluice_wait_for sluice_watch_next sluice_message_free \
	sluice_error_metadata sluice__v1__promote_request__descriptor sluice__v1__watch_response__unpack; do
	if ! echo "$symbols" | grep -qx "$name"; then
		echo "$name is not shown"
		exit 1
	fi
done
if strangers=$(echo "$symbols" | grep -vE '^(sluice_|google__protobuf__)'); then
	echo "shown, but nobody's business: $strangers"
	exit 1
fi
