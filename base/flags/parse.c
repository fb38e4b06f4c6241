#include "base/flags/flags_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"

enum { SETS_MAX = 4, NAME_MAX_BYTES = 64, WORD_MAX_BYTES = 64 };

/* One parse: configs are drafts until all of it went well. */
struct parse {
	const struct sl_flag_set *sets;
	size_t set_count;
	void *drafts[SETS_MAX];
	int argc, at;
	const char *const *argv;
	const char **items;
	size_t item_count;
	const struct sl_flag **given;
	size_t given_count;
	bool help, version;
	struct sl_arena arena;
};

static void parse_fini(struct parse *p)
{
	sl_arena_fini(&p->arena);
}

/* How many edits make one of the other; more than `most` is most + 1. */
static size_t distance(const char *a, const char *b, size_t most)
{
	size_t a_length = strlen(a);
	size_t b_length = strlen(b);
	size_t row[WORD_MAX_BYTES + 1];
	if (a_length > WORD_MAX_BYTES || b_length > WORD_MAX_BYTES) {
		return most + 1;
	}
	for (size_t j = 0; j <= b_length; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= a_length; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
			size_t skip = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
			diagonal = row[j];
			row[j] = change < skip ? change : skip;
		}
	}
	return row[b_length];
}

const char *sl_closest(const char *word, const char *const *names)
{
	size_t most = strlen(word) < 4 ? 1 : 2;
	const char *best = NULL;
	for (; *names != NULL; names++) {
		size_t far = distance(word, *names, most);
		if (far <= most && strcmp(word, *names) != 0) {
			best = *names;
			most = far - 1;
		}
	}
	return best;
}

static sl_code unknown_flag(const struct parse *p, const char *arg, const char *name,
			    struct sl_err *err)
{
	const char *best = NULL;
	for (size_t s = 0; s < p->set_count; s++) {
		for (const struct sl_flag *f = p->sets[s].flags; f != NULL && f->name != NULL;
		     f++) {
			const char *pair[] = {f->name, NULL};
			best = best != NULL ? best : sl_closest(name, pair);
		}
	}
	if (best != NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "unknown flag %s: did you mean --%s?",
				  arg, best);
	}
	return sl_err_set(err, SL_INVALID_ARGUMENT, "unknown flag %s (--help lists the flags)",
			  arg);
}

static const struct sl_flag *find_flag(const struct parse *p, const char *name, char letter,
				       size_t *ret_set)
{
	for (size_t s = 0; s < p->set_count; s++) {
		for (const struct sl_flag *f = p->sets[s].flags; f != NULL && f->name != NULL;
		     f++) {
			bool same = name != NULL ? strcmp(f->name, name) == 0 : f->letter == letter;
			if (same) {
				*ret_set = s;
				return f;
			}
		}
	}
	return NULL;
}

static bool is_given(const struct parse *p, const struct sl_flag *flag)
{
	for (size_t i = 0; i < p->given_count; i++) {
		if (p->given[i] == flag) {
			return true;
		}
	}
	return false;
}

/* The value of a flag that needs one: after "=", else the next argument. */
static sl_code take_value(struct parse *p, const char *shown, const char *inline_value,
			  const char **ret_value, struct sl_err *err)
{
	if (inline_value != NULL) {
		*ret_value = inline_value;
		return SL_OK;
	}
	if (p->at + 1 >= p->argc) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "%s needs a value", shown);
	}
	const char *next = p->argv[p->at + 1];
	if (next[0] == '-' && next[1] != '\0') {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "%s needs a value; write %s=%s if that is meant", shown, shown,
				  next);
	}
	p->at++;
	*ret_value = next;
	return SL_OK;
}

static sl_code apply(struct parse *p, const struct sl_flag *flag, size_t set,
		     const char *inline_value, bool no, struct sl_err *err)
{
	char shown[NAME_MAX_BYTES + 8];
	(void)snprintf(shown, sizeof(shown), "--%s", flag->name);
	if (is_given(p, flag) && !flags_is_list(flag)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "%s is given twice", shown);
	}
	const char *value = no ? "false" : "true";
	if (no && inline_value != NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "--no-%s takes no value, is '%s'",
				  flag->name, inline_value);
	}
	if (flag->kind == SL_FLAG_BOOL) {
		value = inline_value != NULL ? inline_value : value;
	} else {
		sl_code code = take_value(p, shown, inline_value, &value, err);
		if (code != SL_OK) {
			return code;
		}
	}
	p->given[p->given_count++] = flag;
	return flags_store(flag, shown, value, p->drafts[set], &p->arena, err);
}

static sl_code parse_long(struct parse *p, const char *arg, struct sl_err *err)
{
	const char *equals = strchr(arg, '=');
	size_t length = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
	char shown[NAME_MAX_BYTES + 1] = "";
	if (length > NAME_MAX_BYTES) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "unknown flag %.64s... (--help lists the flags)", arg);
	}
	(void)snprintf(shown, sizeof(shown), "%.*s", (int)length, arg);
	const char *name = shown + 2;
	const char *value = equals != NULL ? equals + 1 : NULL;
	size_t set = 0;
	const struct sl_flag *flag = find_flag(p, name, 0, &set);
	if (flag != NULL) {
		return apply(p, flag, set, value, false, err);
	}
	flag = strncmp(name, "no-", 3) == 0 ? find_flag(p, name + 3, 0, &set) : NULL;
	if (flag == NULL || flag->kind != SL_FLAG_BOOL) {
		return unknown_flag(p, shown, name, err);
	}
	return apply(p, flag, set, value, true, err);
}

static sl_code parse_short(struct parse *p, const char *arg, struct sl_err *err)
{
	size_t set = 0;
	const struct sl_flag *flag =
	    arg[2] == '\0' || arg[2] == '=' ? find_flag(p, NULL, arg[1], &set) : NULL;
	if (flag == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "unknown flag %.64s (--help lists the flags)", arg);
	}
	return apply(p, flag, set, arg[2] == '=' ? arg + 3 : NULL, false, err);
}

static sl_code parse_argv(struct parse *p, struct sl_err *err)
{
	bool flags_ended = false;
	for (p->at = 0; p->at < p->argc; p->at++) {
		const char *arg = p->argv[p->at];
		if (flags_ended || arg[0] != '-' || arg[1] == '\0') {
			p->items[p->item_count++] = arg;
			continue;
		}
		if (strcmp(arg, "--") == 0) {
			flags_ended = true;
			continue;
		}
		sl_code code = arg[1] == '-' ? parse_long(p, arg, err) : parse_short(p, arg, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}

static sl_code store_listed(struct parse *p, const struct sl_flag *flag, const char *source,
			    char *text, size_t set, struct sl_err *err)
{
	for (char *rest = text, *item = strsep(&rest, ","); item != NULL;
	     item = strsep(&rest, ",")) {
		sl_code code = flags_store(flag, source, item, p->drafts[set], &p->arena, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}

static sl_code store_from_env(struct parse *p, const struct sl_flag *flag, size_t set,
			      bool *ret_found, struct sl_err *err)
{
	char name[FLAGS_ENV_SIZE];
	const char *prefix = p->sets[set].env_prefix;
	const char *value =
	    prefix != NULL ? getenv(flags_env_name(name, prefix, flag->name)) : NULL;
	/* "X= program" means "not set", but for texts that may be empty. */
	bool counts =
	    value != NULL && (value[0] != '\0' || (flag->kind == SL_FLAG_TEXT && flag->min == 0));
	*ret_found = counts;
	if (!counts) {
		return SL_OK;
	}
	char *copy = sl_arena_strdup(&p->arena, value);
	if (copy == NULL) {
		return sl_err_no_memory(err);
	}
	if (flags_is_list(flag)) {
		return store_listed(p, flag, name, copy, set, err);
	}
	return flags_store(flag, name, copy, p->drafts[set], &p->arena, err);
}

static sl_code store_default(struct parse *p, const struct sl_flag *flag, size_t set,
			     struct sl_err *err)
{
	void *field = (char *)p->drafts[set] + flag->offset;
	if (flag->fallback == NULL && flag->kind == SL_FLAG_TEXT) {
		*(const char **)field =
		    ""; /* no default: empty even where a given one may not be */
		return SL_OK;
	}
	if (flag->fallback == NULL || flags_is_list(flag)) {
		return SL_OK;
	}
	if (flag->kind == SL_FLAG_TEXT && flag->fallback[0] == '\0') {
		*(const char **)field = flag->fallback;
		return SL_OK;
	}
	return flags_store(flag, flag->name, flag->fallback, p->drafts[set], &p->arena, err);
}

/* Zero means unset for every kind; texts become "" in store_default(). */
static void clear_field(struct parse *p, const struct sl_flag *flag, size_t set)
{
	static const size_t sizes[] = {
	    [SL_FLAG_TEXT] = sizeof(const char *),
	    [SL_FLAG_BOOL] = sizeof(bool),
	    [SL_FLAG_INT] = sizeof(uint64_t),
	    [SL_FLAG_BYTES] = sizeof(uint64_t),
	    [SL_FLAG_DURATION] = sizeof(uint64_t),
	    [SL_FLAG_LIST] = sizeof(struct sl_flag_list),
	    [SL_FLAG_PAIRS] = sizeof(struct sl_flag_list),
	};
	assert(flag->offset + sizes[flag->kind] <= p->sets[set].config_size);
	memset((char *)p->drafts[set] + flag->offset, 0, sizes[flag->kind]);
}

static sl_code fill_missing(struct parse *p, const struct sl_flag *flag, size_t set,
			    struct sl_err *err)
{
	if (is_given(p, flag)) {
		return SL_OK;
	}
	bool found = false;
	sl_code code = store_from_env(p, flag, set, &found, err);
	if (code != SL_OK || found) {
		return code;
	}
	if (flag->required) {
		char name[FLAGS_ENV_SIZE];
		const char *prefix = p->sets[set].env_prefix;
		const char *also = prefix != NULL ? flags_env_name(name, prefix, flag->name) : NULL;
		return sl_err_set(err, SL_INVALID_ARGUMENT, "--%s%s%s is required: %s", flag->name,
				  also != NULL ? " or " : "", also != NULL ? also : "", flag->help);
	}
	return store_default(p, flag, set, err);
}

/* Runs `step` over every row of every set; the first failure ends it. */
static sl_code fill_all(struct parse *p, struct sl_err *err)
{
	for (size_t s = 0; s < p->set_count; s++) {
		for (const struct sl_flag *f = p->sets[s].flags; f != NULL && f->name != NULL;
		     f++) {
			sl_code code = fill_missing(p, f, s, err);
			if (code != SL_OK) {
				return code;
			}
		}
	}
	return SL_OK;
}

static sl_code parse_init(struct parse *p, struct sl_err *err)
{
	size_t rows = 0;
	for (size_t s = 0; s < p->set_count; s++) {
		const struct sl_flag_set *set = &p->sets[s];
		rows += flags_count(set->flags);
		p->drafts[s] = set->config_size > 0
				   ? sl_arena_dup(&p->arena, set->config, set->config_size)
				   : NULL;
	}
	/* A list can be given as often as there are arguments. */
	p->given = SL_ARENA_ARRAY(&p->arena, const struct sl_flag *, rows + (size_t)p->argc + 1);
	p->items = SL_ARENA_ARRAY(&p->arena, const char *, (size_t)p->argc + 1);
	if (sl_arena_failed(&p->arena)) {
		return sl_err_no_memory(err);
	}
	for (size_t s = 0; s < p->set_count; s++) {
		for (const struct sl_flag *f = p->sets[s].flags; f != NULL && f->name != NULL;
		     f++) {
			clear_field(p, f, s);
		}
	}
	return SL_OK;
}

/* --help and --version win over everything else that may be wrong. */
static void look_for_help(struct parse *p)
{
	for (int i = 0; i < p->argc && strcmp(p->argv[i], "--") != 0; i++) {
		size_t set = 0;
		p->help =
		    p->help || strcmp(p->argv[i], "--help") == 0 || strcmp(p->argv[i], "-h") == 0;
		p->version = p->version || (strcmp(p->argv[i], "--version") == 0 &&
					    find_flag(p, "version", 0, &set) == NULL);
	}
}

static sl_code parse_all(struct parse *p, struct sl_err *err)
{
	sl_code code = parse_init(p, err);
	if (code != SL_OK) {
		return code;
	}
	look_for_help(p);
	if (p->help || p->version) {
		return SL_OK;
	}
	code = parse_argv(p, err);
	return code != SL_OK ? code : fill_all(p, err);
}

static void write_configs(const struct parse *p)
{
	for (size_t s = 0; s < p->set_count; s++) {
		if (p->sets[s].config_size > 0) {
			memcpy(p->sets[s].config, p->drafts[s], p->sets[s].config_size);
		}
	}
}

sl_code flags_parse(const struct sl_flag_set *sets, size_t set_count, int argc,
		    const char *const *argv, const struct flags_check *check,
		    struct sl_args *ret_args, struct sl_err *err)
{
	assert(set_count <= SETS_MAX && argc >= 0);
	SL_AUTO(parse_fini)
	struct parse p = {.sets = sets, .set_count = set_count, .argc = argc, .argv = argv};
	sl_arena_init(&p.arena, 0);
	sl_code code = parse_all(&p, err);
	if (code != SL_OK) {
		return code;
	}
	struct sl_args args = {
	    .items = p.items,
	    .count = p.item_count,
	    .help = p.help,
	    .version = p.version,
	    .given = p.given,
	};
	bool act = !p.help && !p.version;
	code = act && check != NULL ? check->check(check, &args, err) : SL_OK;
	if (code != SL_OK) {
		return code;
	}
	if (act) {
		write_configs(&p);
	}
	args.arena = p.arena;
	sl_arena_init(&p.arena, 0); /* its memory is the caller's now */
	*ret_args = args;
	return SL_OK;
}

sl_code sl_flags_parse(const struct sl_flag_set *sets, size_t set_count, int argc,
		       const char *const *argv, struct sl_args *ret_args, struct sl_err *err)
{
	return flags_parse(sets, set_count, argc, argv, NULL, ret_args, err);
}

void sl_args_fini(struct sl_args *args)
{
	sl_arena_fini(&args->arena);
	*args = (struct sl_args){0};
}

bool sl_args_given(const struct sl_args *args, const char *name)
{
	for (const struct sl_flag **f = args->given; f != NULL && *f != NULL; f++) {
		if (strcmp((*f)->name, name) == 0) {
			return true;
		}
	}
	return false;
}
