#include "client/cli/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chain/chain.h"
#include "base/json/json.h"
#include "base/mem/own.h"

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

static void file_close(FILE **file)
{
	if (*file != NULL) {
		(void)fclose(*file);
	}
}

/* --- values ----------------------------------------------------------------------------- */

sl_code audit_get_number(const struct sl_json *object, const char *key, uint64_t *ret_number,
			 struct sl_err *err)
{
	const char *text = NULL;
	sl_code code = sl_json_get_text(object, key, 20, &text, err);
	if (code != SL_OK || text == NULL) {
		return code;
	}
	char *end = NULL;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && end != text
		   ? SL_OK
		   : sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must be a number", key);
}

sl_code audit_get_hash(const struct sl_json *object, const char *key, struct sl_buf *hash,
		       struct sl_err *err)
{
	sl_code code = sl_json_get_bytes(object, key, hash, err);
	if (code == SL_OK && hash->size != 0 && hash->size != SL_HASH_BYTES) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "key '%s' must have %d bytes", key,
				  SL_HASH_BYTES);
	}
	return code;
}

/* --- lines -------------------------------------------------------------------------------- */

bool audit_print_line(FILE *out, const Sluice__V1__AuditRecord *record)
{
	SL_AUTO(sl_free_auto)
	char *line = sl_json_from_message(&record->base, SL_JSON_COMPACT, false);
	if (line == NULL) {
		return false;
	}
	(void)fputs(line, out);
	(void)fputc('\n', out);
	return true;
}

struct line {
	uint64_t sequence;
	struct sl_buf hash, content_hash, body;
};

static void line_fini(struct line *line)
{
	sl_buf_fini(&line->hash);
	sl_buf_fini(&line->content_hash);
	sl_buf_fini(&line->body);
}

static sl_code parse(struct sl_bytes text, struct line *line, struct sl_err *err)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	sl_code code = sl_json_parse(text, &root, err);
	code = code != SL_OK ? code : audit_get_number(root, "sequence", &line->sequence, err);
	code = code != SL_OK ? code : audit_get_hash(root, "hash", &line->hash, err);
	code = code != SL_OK ? code : audit_get_hash(root, "contentHash", &line->content_hash, err);
	code = code != SL_OK ? code : sl_json_get_bytes(root, "body", &line->body, err);
	if (code == SL_OK && (line->hash.size == 0 || line->sequence == 0 || line->body.failed)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "it is no audit record of an export");
	}
	return code;
}

static ProtobufCBinaryData binary(const struct sl_buf *buf)
{
	return (ProtobufCBinaryData){.len = buf->size, .data = buf->data};
}

/* What the body says, written again, must be the line. */
static bool says_what_was_hashed(const struct line *line, struct sl_bytes text)
{
	Sluice__V1__AuditRecord record = SLUICE__V1__AUDIT_RECORD__INIT;
	record.sequence = line->sequence;
	record.hash = binary(&line->hash);
	record.content_hash = binary(&line->content_hash);
	record.body = binary(&line->body);
	record.entry = sluice__v1__audit_entry__unpack(NULL, line->body.size, line->body.data);
	SL_AUTO(sl_free_auto)
	char *again = record.entry == NULL
			  ? NULL
			  : sl_json_from_message(&record.base, SL_JSON_COMPACT, false);
	if (record.entry != NULL) {
		sluice__v1__audit_entry__free_unpacked(record.entry, NULL);
	}
	return again != NULL && sl_bytes_equal(sl_bytes_text(again), text);
}

static void fault(struct audit_file *file, uint64_t sequence, const char *what)
{
	file->faults++;
	file->on_fault(file->ctx, sequence, what);
}

/* The first record is taken as it says: what it follows is not in the file. */
static void check_line(struct audit_file *file, const struct line *line, struct sl_bytes text)
{
	uint8_t hash[SL_HASH_BYTES];
	uint64_t expected = file->last.sequence + 1;
	bool first = file->checked++ == 0;
	sl_chain_hash(hash, file->last.hash, line->sequence,
		      SL_BYTES(line->body.data, line->body.size),
		      line->content_hash.size > 0 ? line->content_hash.data : NULL);
	if (!first && line->sequence > expected) {
		fault(file, expected, "is missing");
	} else if (!first && line->sequence < expected) {
		fault(file, line->sequence, "is out of order");
		return;
	} else if ((!first || line->sequence == 1) &&
		   memcmp(hash, line->hash.data, sizeof(hash)) != 0) {
		fault(file, line->sequence, "was changed, or does not follow the one before");
	}
	if (!says_what_was_hashed(line, text)) {
		fault(file, line->sequence, "says something else than what was hashed");
	}
	file->last.sequence = line->sequence;
	memcpy(file->last.hash, line->hash.data, SL_HASH_BYTES);
	if (file->kept != NULL && file->kept->sequence == line->sequence) {
		file->found_kept = true;
		if (memcmp(file->kept->hash, line->hash.data, SL_HASH_BYTES) != 0) {
			fault(file, line->sequence, "is not the one of the head that was kept");
		}
	}
}

/* The text is cut at its end of line. */
static sl_code read_line(struct audit_file *file, size_t number, struct sl_bytes text,
			 struct sl_err *err)
{
	SL_AUTO(line_fini) struct line line = {.sequence = 0};
	if (parse(text, &line, err) != SL_OK) {
		return sl_err_wrap(err, "line %zu", number);
	}
	check_line(file, &line, text);
	return SL_OK;
}

static sl_code read_lines(struct audit_file *file, FILE *in, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *text = NULL;
	size_t room = 0, number = 0;
	sl_code code = SL_OK;
	ssize_t size = 0;
	while (code == SL_OK && (size = getline(&text, &room, in)) > 0) {
		size -= text[size - 1] == '\n';
		text[size] = '\0';
		code = read_line(file, ++number, SL_BYTES(text, (size_t)size), err);
	}
	bool failed = code == SL_OK && ferror(in) != 0;
	return failed ? sl_err_set(err, SL_INTERNAL, "%s", strerror(errno)) : code;
}

sl_code audit_file_read(struct audit_file *file, const char *path, struct sl_err *err)
{
	SL_AUTO(file_close) FILE *in = fopen(path, "re");
	if (in == NULL) {
		return sl_err_set(err, SL_NOT_FOUND, "'%s': %s", path, strerror(errno));
	}
	if (read_lines(file, in, err) != SL_OK) {
		return sl_err_wrap(err, "'%s'", path);
	}
	if (file->kept != NULL && !file->found_kept) {
		fault(file, file->kept->sequence, "is not in the file: the head was kept of it");
	}
	return SL_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool failed(struct audit_writer *writer, const char *doing)
{
	(void)snprintf(writer->error, sizeof(writer->error), "'%s': %s: %s", writer->path, doing,
		       strerror(errno));
	return false;
}

bool audit_writer_open(struct audit_writer *writer)
{
	if (asprintf(&writer->part, "%s.part", writer->path) < 0) {
		writer->part = NULL;
		return failed(writer, "make it");
	}
	int fd = open(writer->part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	writer->out = fd < 0 ? NULL : fdopen(fd, "w");
	return writer->out != NULL || failed(writer, "make it");
}

bool audit_writer_put(struct audit_writer *writer, const Sluice__V1__AuditRecord *record)
{
	return audit_print_line(writer->out, record) || failed(writer, "write it");
}

bool audit_writer_keep(struct audit_writer *writer)
{
	bool written =
	    fflush(writer->out) == 0 && fsync(fileno(writer->out)) == 0 && ferror(writer->out) == 0;
	if (!written) {
		return failed(writer, "write it");
	}
	if (rename(writer->part, writer->path) != 0) {
		return failed(writer, "give it its name");
	}
	free(SL_TAKE(writer->part));
	return true;
}

void audit_writer_fini(struct audit_writer *writer)
{
	file_close(&writer->out);
	if (writer->part != NULL) {
		(void)unlink(writer->part);
	}
	free(writer->part);
}
