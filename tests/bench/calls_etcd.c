/* What is asked of etcd; see calls.h. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/calls_internal.h"
#include "tests/bench/die.h"
#include "tests/bench/proto/etcd_kv.pb-c.h"
#include "tests/bench/seed.h"

enum {
	KEYS_MAX = 8,
	KEY_BYTES = 32,
	VALUE_BYTES = 64,
	KEY_SPACE = 100000,
	FILL_TIMEOUT_MS = 10000
};

static const char method_put[] = "/etcdserverpb.KV/Put";
static const char method_txn[] = "/etcdserverpb.KV/Txn";

/* A put of the n-th key. */
struct put {
	char key[KEY_BYTES];
	Etcdserverpb__PutRequest request;
	Etcdserverpb__RequestOp op;
};

static void put_init(struct put *put, uint64_t n)
{
	static uint8_t value[VALUE_BYTES] = "sixty-four bytes";
	int size = snprintf(put->key, sizeof(put->key), "bench/%08lu",
			    (unsigned long)(calls_spread(n) % KEY_SPACE));
	etcdserverpb__put_request__init(&put->request);
	put->request.key = (ProtobufCBinaryData){(size_t)size, (uint8_t *)put->key};
	put->request.value = (ProtobufCBinaryData){sizeof(value), value};
	etcdserverpb__request_op__init(&put->op);
	put->op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
	put->op.request_put = &put->request;
}

static void next_txn(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	struct calls_slot *slot = &calls->slots[at];
	struct put puts[KEYS_MAX];
	Etcdserverpb__RequestOp *ops[KEYS_MAX];
	unsigned keys = round_keys[slot->step];
	slot->step = (slot->step + 1) % ROUND_STEPS;
	for (unsigned i = 0; i < keys; i++) {
		put_init(&puts[i], calls->count++);
		ops[i] = &puts[i].op;
	}
	Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
	txn.n_success = keys;
	txn.success = ops;
	calls_pack(ret_request, 0, &txn.base);
}

struct calls *calls_etcd_round(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("etcd Txn", port, connections, outstanding);
	calls->target.methods[0] = method_txn;
	calls->target.next = next_txn;
	return calls;
}

static void next_put(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	struct put put;
	(void)at;
	put_init(&put, calls->count++);
	calls_pack(ret_request, 0, &put.request.base);
}

struct calls *calls_etcd_put(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("etcd put", port, connections, outstanding);
	calls->target.methods[0] = method_put;
	calls->target.next = next_put;
	return calls;
}

enum { CHANGE_KEYS = 1000, CHANGE_MAX = 2048 };

static void next_change(void *ctx, unsigned at, struct load_request *ret_request)
{
	static uint8_t value[CHANGE_MAX];
	struct calls *calls = ctx;
	struct put put;
	(void)at;
	put_init(&put, 0);
	put.request.key.len = (size_t)snprintf(put.key, sizeof(put.key), "watched/%06u",
					       (unsigned)(calls->count++ % CHANGE_KEYS));
	put.request.value = (ProtobufCBinaryData){calls->bytes, value};
	calls_pack(ret_request, 0, &put.request.base);
}

struct calls *calls_etcd_change(int port, unsigned connections, unsigned outstanding, size_t bytes)
{
	struct calls *calls = calls_new("etcd put", port, connections, outstanding);
	calls->target.methods[0] = method_put;
	calls->target.next = next_change;
	calls->bytes = bytes < CHANGE_MAX ? bytes : CHANGE_MAX;
	return calls;
}

/* --- reads ------------------------------------------------------------------------ */

enum { READ_KEYS = SEED_APPS * SEED_VERSIONS, FILL_KEYS = 100, VALUE_MAX = 1024 };

static size_t read_key(char key[static KEY_BYTES], uint64_t n)
{
	return (size_t)snprintf(key, KEY_BYTES, "read/%06lu", (unsigned long)(n % READ_KEYS));
}

static void next_range(void *ctx, unsigned at, struct load_request *ret_request)
{
	struct calls *calls = ctx;
	char key[KEY_BYTES];
	(void)at;
	Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
	range.key.len = read_key(key, calls_spread(calls->count++));
	range.key.data = (uint8_t *)key;
	calls_pack(ret_request, 0, &range.base);
}

struct calls *calls_etcd_read(int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = calls_new("etcd range", port, connections, outstanding);
	calls->target.methods[0] = "/etcdserverpb.KV/Range";
	calls->target.next = next_range;
	return calls;
}

/* Puts keys [first, first + FILL_KEYS) in one transaction. */
static void fill_some(int port, uint64_t first, size_t value_bytes)
{
	static uint8_t value[VALUE_MAX];
	static uint8_t packed[FILL_KEYS * (VALUE_MAX + 2 * KEY_BYTES)];
	struct put puts[FILL_KEYS];
	Etcdserverpb__RequestOp *ops[FILL_KEYS];
	char text[200];
	for (unsigned i = 0; i < FILL_KEYS; i++) {
		put_init(&puts[i], 0);
		puts[i].request.key.len = read_key(puts[i].key, first + i);
		puts[i].request.value = (ProtobufCBinaryData){value_bytes, value};
		ops[i] = &puts[i].op;
	}
	Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
	txn.n_success = FILL_KEYS;
	txn.success = ops;
	size_t size = etcdserverpb__txn_request__pack(&txn, packed);
	if (load_call(port, method_txn, SL_BYTES(packed, size), NULL, text) != 0) {
		die("etcd refuses a transaction: %s", text);
	}
}

void calls_etcd_fill(int port, size_t value_bytes)
{
	for (uint64_t first = 0; first < READ_KEYS; first += FILL_KEYS) {
		fill_some(port, first, value_bytes < VALUE_MAX ? value_bytes : VALUE_MAX);
	}
}
