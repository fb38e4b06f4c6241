/* Targets: what `sluice audit verify` reads: heads that were kept elsewhere (audit_kept_read,
 * audit_kept_check), exports (audit_file_read).
 * Property: no crash; what cannot be read names its file. A head is believed only with the words
 * that were signed, under the pinned key and under the one that it announced. An export that begins
 * with the first record, is without a fault and has the kept head in it, is the one that was
 * written, to the byte. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/chain/chain.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "base/vouch/vouch.h"
#include "client/cli/audit_file.h"
#include "client/cli/audit_head.h"
#include "tests/lib/tmpdir.h"

enum { RECORDS = 3, AT_MS = 1700000000000 };

static char *home, file[256], *export;
static size_t export_size;
static struct audit_head head;
static struct audit_key keys[2]; /* the first announced the second, which signed */

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

/* --- what is true ------------------------------------------------------------------------ */

static ProtobufCBinaryData binary(uint8_t *data, size_t size)
{
	return (ProtobufCBinaryData){.len = size, .data = data};
}

static void add_record(FILE *out, uint64_t sequence)
{
	char method[] = "CreateApp", principal[] = "pri_1";
	uint8_t body[128], content[SL_HASH_BYTES] = {7};
	Sluice__V1__AuditEntry entry = SLUICE__V1__AUDIT_ENTRY__INIT;
	entry.revision = sequence;
	entry.at_ms = AT_MS + sequence;
	entry.method = method;
	entry.principal = principal;
	size_t size = sluice__v1__audit_entry__get_packed_size(&entry);
	expect(size <= sizeof(body));
	(void)sluice__v1__audit_entry__pack(&entry, body);
	sl_chain_hash(head.hash, head.hash, sequence, SL_BYTES(body, size), content);
	head.sequence = sequence;
	Sluice__V1__AuditRecord record = SLUICE__V1__AUDIT_RECORD__INIT;
	record.sequence = sequence;
	record.hash = binary(head.hash, sizeof(head.hash));
	record.content_hash = binary(content, sizeof(content));
	record.entry = &entry;
	record.body = binary(body, size);
	expect(audit_print_line(out, &record));
}

static void make_keys(void)
{
	for (size_t i = 0; i < SL_COUNT(keys); i++) {
		const uint8_t seed[SL_SIGN_SEED_BYTES] = {(uint8_t)i};
		SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = sl_signer_new(seed);
		expect(signer != NULL);
		keys[i].epoch = (uint32_t)i + 1;
		memcpy(keys[i].public_key, sl_signer_public(signer), SL_SIGN_PUBLIC_BYTES);
	}
}

static void end(void)
{
	free(export);
	tmpdir_free(home);
}

static void begin(void)
{
	expect(sl_crypto_init());
	home = tmpdir_new();
	expect(snprintf(file, sizeof(file), "%s/kept.json", home) < (int)sizeof(file));
	FILE *out = open_memstream(&export, &export_size);
	expect(out != NULL);
	for (uint64_t sequence = 1; sequence <= RECORDS; sequence++) {
		add_record(out, sequence);
	}
	expect(fclose(out) == 0);
	make_keys();
	expect(atexit(end) == 0);
}

/* --- what is read ---------------------------------------------------------------------------- */

static void check_kept(void)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct audit_kept kept = {.keys = NULL};
	if (audit_kept_read(file, &kept, &err) != SL_OK) {
		expect(err.code == SL_INVALID_ARGUMENT && strstr(err.msg, file) != NULL);
		return;
	}
	const struct audit_trust none = {.keys = NULL}, all = {.keys = keys, .key_count = 2},
				 pinned = {.pinned = &keys[0]};
	expect(audit_kept_check(&kept, &none, &err) == SL_FAILED_PRECONDITION);
	sl_err_clear(&err);
	bool believed = audit_kept_check(&kept, &pinned, &err) == SL_OK;
	sl_err_clear(&err);
	believed = audit_kept_check(&kept, &all, &err) == SL_OK || believed;
	expect(!believed || (kept.epoch == keys[1].epoch && kept.at_ms == AT_MS &&
			     kept.head.sequence == head.sequence &&
			     memcmp(kept.head.hash, head.hash, sizeof(head.hash)) == 0));
	audit_kept_fini(&kept);
}

static void on_fault(void *ctx, uint64_t sequence, const char *what)
{
	unsigned *faults = ctx;
	expect(what[0] != '\0');
	(void)sequence;
	(*faults)++;
}

static void check_export(const uint8_t *data, size_t size)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	unsigned faults = 0;
	struct audit_file read = {.on_fault = on_fault, .ctx = &faults, .kept = &head};
	sl_code code = audit_file_read(&read, file, &err);
	expect(read.faults == faults);
	if (code != SL_OK) {
		expect(code == SL_INVALID_ARGUMENT && strstr(err.msg, file) != NULL);
		return;
	}
	bool from_first = read.checked == read.last.sequence;
	if (faults == 0 && from_first) {
		expect(read.found_kept && size + 1 >= export_size &&
		       memcmp(data, export, export_size - 1) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (home == NULL) {
		begin();
	}
	FILE *out = fopen(file, "wbe");
	expect(out != NULL && fwrite(data, 1, size, out) == size && fclose(out) == 0);
	check_kept();
	check_export(data, size);
	return 0;
}
