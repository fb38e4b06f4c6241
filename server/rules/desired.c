#include "server/rules/desired.h"

#include <string.h>

enum desired_bar desired_bar(const struct desired_version *version, uint32_t environment)
{
	if (version->environment < environment) {
		return DESIRED_NOT_THERE;
	}
	if (version->recalled) {
		return DESIRED_RECALLED;
	}
	if (!version->ready) {
		return DESIRED_NOT_READY;
	}
	return environment > 1 && !version->published ? DESIRED_NOT_PUBLISHED : DESIRED_ELIGIBLE;
}

bool desired_eligible(const struct desired_version *version, uint32_t environment)
{
	return desired_bar(version, environment) == DESIRED_ELIGIBLE;
}

const char *desired_bar_text(enum desired_bar bar)
{
	static const char *const texts[] = {
	    [DESIRED_ELIGIBLE] = "may run there",
	    [DESIRED_NOT_THERE] = "has not come that far",
	    [DESIRED_NOT_READY] = "has no content that is READY",
	    [DESIRED_NOT_PUBLISHED] = "is not published in Git yet",
	    [DESIRED_RECALLED] = "is recalled",
	};
	return texts[bar];
}

const struct desired_version *desired_find(const struct desired_input *input, uint32_t number)
{
	size_t low = 0, high = input->version_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (input->versions[middle].number < number) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	bool found = low < input->version_count && input->versions[low].number == number;
	return found ? &input->versions[low] : NULL;
}

/* Entered earlier; of one revision the lower number counts as the earlier. */
static bool is_earlier(const struct desired_version *a, const struct desired_version *b,
		       uint32_t environment)
{
	uint64_t at = a->entered[environment], bt = b->entered[environment];
	return at != bt ? at < bt : a->number < b->number;
}

size_t desired_newest(uint32_t environment)
{
	return environment == DESIRED_ENVIRONMENTS ? DESIRED_NEWEST : DESIRED_LATEST;
}

/* The eligible versions that entered last, newest first; returns how many there are, at most
 * desired_newest(). */
static size_t newest(const struct desired_input *input, uint32_t environment,
		     const struct desired_version **ret_newest)
{
	size_t count = 0, room = desired_newest(environment);
	for (size_t i = 0; i < input->version_count; i++) {
		const struct desired_version *version = &input->versions[i];
		if (version->entered[environment] == 0 || !desired_eligible(version, environment)) {
			continue;
		}
		size_t at = count < room ? count++ : room;
		for (; at > 0 && is_earlier(ret_newest[at - 1], version, environment); at--) {
			if (at < room) {
				ret_newest[at] = ret_newest[at - 1];
			}
		}
		if (at < room) {
			ret_newest[at] = version;
		}
	}
	return count;
}

static void keep(struct desired_choice *choice, uint32_t number)
{
	for (size_t i = 0; i < choice->keep_count; i++) {
		if (choice->keep[i] == number) {
			return;
		}
	}
	if (number != 0 && choice->keep_count < DESIRED_KEEP_MAX) {
		choice->keep[choice->keep_count++] = number;
	}
}

static uint32_t pin_of(const struct desired_input *input, uint32_t environment,
		       const char *instance_id)
{
	for (size_t i = 0; i < input->pin_count; i++) {
		const struct desired_pin *pin = &input->pins[i];
		if (pin->environment == environment && strcmp(pin->instance_id, instance_id) == 0) {
			return pin->version;
		}
	}
	return 0;
}

/* True when the pin decides. */
static bool try_pin(const struct desired_input *input, uint32_t environment,
		    const char *instance_id, struct desired_choice *choice)
{
	uint32_t pinned = pin_of(input, environment, instance_id);
	if (pinned == 0) {
		return false;
	}
	const struct desired_version *version = desired_find(input, pinned);
	if (version == NULL || !desired_eligible(version, environment)) {
		choice->idle_pin = choice->idle_pin != 0 ? choice->idle_pin : pinned;
		return false;
	}
	choice->selected = pinned;
	choice->by = instance_id[0] != '\0' ? DESIRED_BY_INSTANCE_PIN : DESIRED_BY_PIN;
	return true;
}

static void choose_released(const struct desired_input *input, struct desired_choice *choice)
{
	const struct desired_version *latest[DESIRED_NEWEST];
	size_t count = newest(input, DESIRED_ENVIRONMENTS, latest);
	choice->selected = input->released;
	choice->by = input->released != 0 ? DESIRED_BY_RELEASE : DESIRED_BY_NOTHING;
	keep(choice, input->released);
	keep(choice, input->previous);
	for (size_t i = 0; i < count; i++) {
		keep(choice, latest[i]->number);
	}
}

void desired_choose(const struct desired_input *input, uint32_t environment,
		    const char *instance_id, struct desired_choice *ret_choice)
{
	*ret_choice = (struct desired_choice){.by = DESIRED_BY_NOTHING};
	if (environment == DESIRED_ENVIRONMENTS) {
		choose_released(input, ret_choice);
		return;
	}
	const struct desired_version *latest[DESIRED_LATEST];
	size_t count = newest(input, environment, latest);
	bool of_instance = instance_id != NULL && instance_id[0] != '\0';
	bool pinned = (of_instance && try_pin(input, environment, instance_id, ret_choice)) ||
		      try_pin(input, environment, "", ret_choice);
	if (!pinned && count > 0) {
		ret_choice->selected = latest[0]->number;
		ret_choice->by = DESIRED_BY_ENTRY;
	}
	keep(ret_choice, ret_choice->selected);
	for (size_t i = 0; i < count && ret_choice->keep_count < 2; i++) {
		keep(ret_choice, latest[i]->number);
	}
}

bool desired_takes_down(const struct desired_input *input, uint32_t environment)
{
	bool awaited = false;
	for (size_t i = 0; i < input->version_count; i++) {
		const struct desired_version *version = &input->versions[i];
		if (version->environment < environment) {
			continue;
		}
		if (version->recalled) {
			return true;
		}
		awaited = awaited || desired_bar(version, environment) != DESIRED_ELIGIBLE;
	}
	return environment == DESIRED_ENVIRONMENTS || !awaited;
}
