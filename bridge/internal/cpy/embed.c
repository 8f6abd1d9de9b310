/*
 * embed.c: starts Python inside this process as `python3` would start, and ends it. All on one thread, which becomes
 * Python's main thread; gw_embed_attach on any.
 */
#define _GNU_SOURCE
#include "embed.h"

#include <dlfcn.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static PyThreadState *main_state; /* of gw_embed_start's thread, while it does not hold the GIL */

PyThreadState *gw_embed_main_state(void) { return main_state; }

static int is_c_locale(void) {
	const char *name = setlocale(LC_CTYPE, NULL);
	return !name || strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0;
}

int gw_embed_utf8_mode(void) {
	setlocale(LC_CTYPE, "");
	int legacy = is_c_locale();
	setlocale(LC_CTYPE, "C");
	return legacy;
}

/* "" counts as not set, as in Python. */
static const char *env(const char *name) {
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

/*
 * What python does to the locale before anything else.
 * PEP 538: a C locale nobody insists on becomes C.UTF-8, for our children and other libraries too.
 * PEP 540: in a C locale, and this is decided before that change, UTF-8 mode is on, unless PYTHONUTF8 says otherwise.
 */
static int prepare_locale(int utf8_mode) {
	static const char *const targets[] = {"C.UTF-8", "C.utf8", "UTF-8"};
	const char *wish = env("PYTHONUTF8"), *coerce = env("PYTHONCOERCECLOCALE");

	setlocale(LC_CTYPE, "");
	int legacy = is_c_locale();
	if (utf8_mode == GW_UTF8_UNKNOWN)
		utf8_mode = wish ? strcmp(wish, "1") == 0 : legacy;

	if (legacy && !env("LC_ALL") && !(coerce && strcmp(coerce, "0") == 0)) {
		for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
			if (setlocale(LC_CTYPE, targets[i])) {
				setenv("LC_CTYPE", targets[i], 1);
				break;
			}
		}
		setlocale(LC_CTYPE, "");
	}
	return utf8_mode;
}

/* Up to 3.13. What Python.h calls deprecated here has no replacement without struct layouts before 3.14. */
static int init_old(const char *executable, int utf8_mode, char *err, size_t errlen) {
	/* The variable PYTHONUTF8 is ignored by this way of starting; the number is not. */
	if (py.Py_UTF8Mode)
		*py.Py_UTF8Mode = utf8_mode;

	wchar_t *program = py.Py_DecodeLocale(executable, NULL);
	if (!program || !py.Py_SetProgramName) {
		snprintf(err, errlen, "the path %s could not be given to Python", executable);
		return -1;
	}
	py.Py_SetProgramName(program); /* keeps the pointer: program is never freed */
	py.Py_InitializeEx(0);
	return 0;
}

/*
 * 3.14 and later. A new configuration is the isolated one, deaf to environment, user site and locale; so everything is
 * set to what python uses. It reads the PYTHON* variables then, but for those whose option isolation sets already.
 */
static int init_config(const char *executable, int utf8_mode, char *err, size_t errlen) {
	PyInitConfig *config = py.PyInitConfig_Create();
	const char *reason = NULL;
	int status = -1;

	if (!config) {
		snprintf(err, errlen, "Python could not be initialised: no memory");
		return -1;
	}
	const struct {
		const char *name;
		int64_t value;
	} options[] = {
		{"isolated", 0},
		{"use_environment", 1},
		{"user_site_directory", 1},
		{"safe_path", 0},
		{"pathconfig_warnings", 1},
		{"configure_locale", 1},
		{"utf8_mode", utf8_mode},
		{"install_signal_handlers", 0},
		{"parse_argv", 0},
		{"dev_mode", env("PYTHONDEVMODE") != NULL},
	};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (py.PyInitConfig_SetInt(config, options[i].name, options[i].value) < 0)
			goto end;

	const char *seed = env("PYTHONHASHSEED");
	if (!seed || strcmp(seed, "random") == 0) {
		/* use_hash_seed is 0 already: random */
	} else {
		char *rest;
		unsigned long number = strtoul(seed, &rest, 10);
		if (*rest || *seed == '-' || number > 4294967295UL) {
			reason = "PYTHONHASHSEED must be \"random\" or an integer in range [0; 4294967295]";
			goto end;
		}
		if (py.PyInitConfig_SetInt(config, "use_hash_seed", 1) < 0 ||
			py.PyInitConfig_SetInt(config, "hash_seed", (int64_t)number) < 0)
			goto end;
	}
	const char *trace = env("PYTHONTRACEMALLOC");
	if (trace && py.PyInitConfig_SetInt(config, "tracemalloc", strtol(trace, NULL, 10)) < 0)
		goto end;
	if (py.PyInitConfig_SetStr(config, "program_name", executable) < 0 ||
		py.PyInitConfig_SetStr(config, "executable", executable) < 0 ||
		py.Py_InitializeFromInitConfig(config) < 0)
		goto end;
	status = 0;
end:
	if (status < 0) {
		if (!reason && py.PyInitConfig_GetError(config, &reason) != 1)
			reason = "no reason given";
		snprintf(err, errlen, "Python could not be initialised: %s", reason);
	}
	py.PyInitConfig_Free(config);
	return status;
}

/* sys.argv and sys.orig_argv (3.10), both argv: there is no Python command line before ours. */
static int set_argv(const char *argv, size_t argv_len) {
	PyObject *owned_list = py.PyList_New(0);
	int status = owned_list ? 0 : -1;
	for (const char *p = argv, *end = argv + argv_len; status == 0 && p < end;) {
		size_t n = strnlen(p, (size_t)(end - p));
		PyObject *owned_item = py.PyUnicode_DecodeFSDefaultAndSize(p, (Py_ssize_t)n);
		status = owned_item ? py.PyList_Append(owned_list, owned_item) : -1;
		py.Py_DecRef(owned_item);
		p += n + 1;
	}
	if (status == 0)
		status = py.PySys_SetObject("argv", owned_list);
	if (status == 0 && gw_py_version >= 0x030A0000UL) {
		PyObject *owned_copy = py.PyList_GetSlice(owned_list, 0, py.PyList_Size(owned_list));
		status = owned_copy ? py.PySys_SetObject("orig_argv", owned_copy) : -1;
		py.Py_DecRef(owned_copy);
	}
	py.Py_DecRef(owned_list);
	return status;
}

/* The program that Python is being started as. */
static const char *starting;

/*
 * What Python finds fatal while it starts, such as a sitecustomize that calls sys.exit, ends the process by exit(1), with
 * many lines on stderr. The last one is ours, and the status that of a start that failed.
 */
static void exited_while_starting(void) {
	if (starting) {
		fprintf(stderr, "gowsgi: %s could not be run as Python\n", starting);
		_exit(GW_EXIT_BOOT);
	}
}

int gw_embed_start(const char *libpython, const char *executable, unsigned version, int utf8_mode, const char *argv,
	size_t argv_len, char *err, size_t errlen) {
	static int
		started; /* Python cannot be initialised a second time in one process: extension modules do not bear it */

	if (started) {
		snprintf(err, errlen, "Python was already started in this process");
		return -1;
	}

	/* 1. Global, because most extension modules take the API from the process instead of linking libpython. */
	void *handle = dlopen(libpython, RTLD_NOW | RTLD_GLOBAL);
	if (!handle) {
		snprintf(err, errlen, "libpython could not be loaded: %s", dlerror());
		return -1;
	}

	/* 2. From here on libpython stays: even a failed start may have left pointers into it. */
	if (gw_pyapi_load(handle, err, errlen) < 0)
		return -1;
	if (version && gw_py_version >> 16 != version) {
		snprintf(err, errlen, "%s is Python %lu.%lu, but %s is %u.%u", libpython, gw_py_version >> 24,
			gw_py_version >> 16 & 0xFF, executable, version >> 8, version & 0xFF);
		return -1;
	}
	if (py.Py_IsInitialized()) {
		snprintf(err, errlen, "Python already runs in this process");
		return -1;
	}
	started = 1;

	/*
	 * 3. Before Python looks at signals: it ignores these two itself, but only together with installing its handler
	 * for SIGINT, and signals belong to the server.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);

	/* 4. The locale decides how Python decodes everything, beginning with the path it is given. */
	utf8_mode = prepare_locale(utf8_mode);
	int config = py.PyInitConfig_Create && py.PyInitConfig_SetInt && py.PyInitConfig_SetStr &&
	             py.PyInitConfig_GetError && py.PyInitConfig_Free && py.Py_InitializeFromInitConfig;
	atexit(exited_while_starting);
	starting = executable;
	int initialised = (config ? init_config : init_old)(executable, utf8_mode, err, errlen);
	starting = NULL;
	if (initialised < 0)
		return -1;

	int status = gw_pyapi_ready(err, errlen);

	/*
	 * 5. The module threading takes the thread that first imports it for the main thread (until 3.13), so it shall be
	 * this one, and not whichever thread happens to import an app.
	 */
	PyObject *owned_threading = status == 0 ? py.PyImport_ImportModule("threading") : NULL;
	if (status == 0 && !owned_threading) {
		py.PyErr_PrintEx(0);
		snprintf(err, errlen, "%s cannot import threading", executable);
		status = -1;
	}
	py.Py_DecRef(owned_threading);

	/* 6. This thread holds the GIL now; it leaves without. */
	if (status == 0 && set_argv(argv, argv_len) < 0) {
		py.PyErr_PrintEx(0);
		snprintf(err, errlen, "sys.argv could not be set");
		status = -1;
	}
	main_state = py.PyEval_SaveThread();
	return status;
}

int gw_embed_attach(char *err, size_t errlen) {
	if (!gw_py_version && gw_pyapi_load(NULL, err, errlen) < 0)
		return -1;
	if (!py.Py_IsInitialized()) {
		snprintf(err, errlen, "no Python runs in this process");
		return -1;
	}
	if (gw_py_head_size)
		return 0;
	PyGILState_STATE gil = py.PyGILState_Ensure();
	int status = gw_pyapi_ready(err, errlen);
	py.PyGILState_Release(gil);
	return status;
}

int gw_embed_finish(void) {
	if (!main_state)
		return -1;
	PyThreadState *state = main_state;
	main_state = NULL;
	py.PyEval_RestoreThread(state);
	return py.Py_FinalizeEx();
}

int gw_embed_run(const char *code) {
	PyGILState_STATE gil = py.PyGILState_Ensure();
	int status = py.PyRun_SimpleStringFlags(code, NULL);
	py.PyGILState_Release(gil);
	return status;
}
