#include "base/absl/absl.h"

#include <dlfcn.h>
#include <string.h>

/* absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle), mangled. */
static const char switch_name[] =
    "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE";

enum { DEADLOCK_IGNORE = 0 }; /* absl::OnDeadlockCycle::kIgnore */

void sl_absl_quiet(void)
{
	void *symbol = dlsym(RTLD_DEFAULT, switch_name);
	if (symbol == NULL) {
		return;
	}
	void (*set_mode)(int) = NULL;
	memcpy(&set_mode, &symbol, sizeof(set_mode)); /* ISO C has no cast from data to function */
	set_mode(DEADLOCK_IGNORE);
}
