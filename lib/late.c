#include "lib/late.h"

#include <dlfcn.h>
#include <string.h>

#include "lib/log.h"

static bool find_all(void *handle, const struct late_symbol *symbols, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		void *at = dlsym(handle, symbols[i].name);

		if (at == NULL) {
			log_error("late", "%s", dlerror());
			return false;
		}
		memcpy(symbols[i].to, &at, sizeof(at)); /* ISO C has no cast from an object's to a function's pointer. */
	}
	return true;
}

bool late_load(const char *soname, const struct late_symbol *symbols, size_t n)
{
	void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (handle == NULL) {
		log_error("late", "%s", dlerror());
		return false;
	}
	return find_all(handle, symbols, n);
}
