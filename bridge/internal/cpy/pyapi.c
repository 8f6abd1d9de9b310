/*
 * pyapi.c: fills the table of pyapi.h from the Python that is loaded. Runs once, on the thread that starts or imports
 * us, before any other C of this package.
 */
#define _GNU_SOURCE
#include "pyapi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

gw_pyapi gw_py_api;
unsigned long gw_py_version;
size_t gw_py_head_size;
int gw_py_free_threaded;

/* Variables of type PyObject *, by address: read again in gw_pyapi_ready. */
static struct {
#define GW_X(name) PyObject **name;
	GW_PYAPI_EXCEPTIONS(GW_X)
#undef GW_X
} exceptions;

/* 3.11 has the number as data; before, it is parsed from "3.8.18 (default, ...", where "3.9.0b2+" is possible too. */
static unsigned long parse_version(const char *text) {
	char *end;
	unsigned long major = strtoul(text, &end, 10), minor = 0, micro = 0, level = 0xF, serial = 0;
	if (*end == '.')
		minor = strtoul(end + 1, &end, 10);
	if (*end == '.')
		micro = strtoul(end + 1, &end, 10);
	if (*end == 'a' || *end == 'b') {
		level = *end == 'a' ? 0xA : 0xB;
		serial = strtoul(end + 1, &end, 10);
	} else if (end[0] == 'r' && end[1] == 'c') {
		level = 0xC;
		serial = strtoul(end + 2, &end, 10);
	}
	return (major & 0xFF) << 24 | (minor & 0xFF) << 16 | (micro & 0xFF) << 8 | level << 4 | (serial & 0xF);
}

int gw_pyapi_load(void *dl_handle, char *err, size_t errlen) {
	void *handle = dl_handle ? dl_handle : RTLD_DEFAULT;
	gw_pyapi table;
	const char *missing = NULL;

	memset(&table, 0, sizeof table);

	/* The version first: "Python 3.7 is too old" says more than the first function that 3.7 lacks. */
	*(void **)&table.Py_GetVersion = dlsym(handle, "Py_GetVersion");
	if (!table.Py_GetVersion) {
		snprintf(err, errlen, "no Python is loaded: the symbol Py_GetVersion was not found");
		return -1;
	}
	const char *text = table.Py_GetVersion();
	const unsigned long *number = dlsym(handle, "Py_Version");
	unsigned long version = number ? *number : parse_version(text);
	if (version < 0x03080000UL) {
		snprintf(err, errlen, "Python %lu.%lu is too old: gowsgi needs 3.8 or later", version >> 24,
			version >> 16 & 0xFF);
		return -1;
	}

	/* A function pointer and a data pointer have one size on every system with dlsym (POSIX). */
#define GW_X(ret, name, args)                                                                                          \
	if (!(*(void **)&table.name = dlsym(handle, #name)) && !missing)                                               \
		missing = #name;
	GW_PYAPI_FUNCS(GW_X)
#undef GW_X
#define GW_X(ret, name, args)                                                                                          \
	if (!(*(void **)&table.name = dlsym(handle, "_" #name "_SizeT")) &&                                            \
		!(*(void **)&table.name = dlsym(handle, #name)) && !missing)                                           \
		missing = #name;
	GW_PYAPI_SIZET(GW_X)
#undef GW_X
#define GW_X(ret, name, args) *(void **)&table.name = dlsym(handle, #name);
	GW_PYAPI_OPTIONAL(GW_X)
#undef GW_X
#define GW_X(name)                                                                                                     \
	if (!(table.name = dlsym(handle, #name)) && !missing)                                                          \
		missing = #name;
	GW_PYAPI_TYPES(GW_X)
	GW_PYAPI_SINGLETONS(GW_X)
#undef GW_X
#define GW_X(name)                                                                                                     \
	if ((exceptions.name = dlsym(handle, #name)))                                                                  \
		table.name = *exceptions.name;                                                                         \
	else if (!missing)                                                                                             \
		missing = #name;
	GW_PYAPI_EXCEPTIONS(GW_X)
#undef GW_X
#define GW_X(name) table.name = dlsym(handle, #name);
	GW_PYAPI_INTS(GW_X)
#undef GW_X

	if (missing) {
		snprintf(err, errlen, "Python %lu.%lu has no %s, which gowsgi needs", version >> 24,
			version >> 16 & 0xFF, missing);
		return -1;
	}
	gw_py_api = table;
	gw_py_version = version;
	gw_py_free_threaded = strstr(text, "free-threading") != NULL;
	return 0;
}

int gw_pyapi_ready(char *err, size_t errlen) {
#define GW_X(name) gw_py_api.name = *exceptions.name;
	GW_PYAPI_EXCEPTIONS(GW_X)
#undef GW_X

	PyObject *size = py.PyObject_GetAttrString((PyObject *)py.PyBaseObject_Type, "__basicsize__");
	Py_ssize_t n = size ? py.PyLong_AsSsize_t(size) : -1;
	if (size)
		py.Py_DecRef(size);
	/* A count and a type pointer at least; more than a page would be nonsense. */
	if (n < (Py_ssize_t)(2 * sizeof(void *)) || n > 4096) {
		py.PyErr_Clear();
		snprintf(err, errlen, "the size of a Python object head could not be found");
		return -1;
	}
	gw_py_head_size = (size_t)n;
	return 0;
}
