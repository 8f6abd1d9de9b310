/*
 * shim_green.c: greenlets. What may suspend runs in one: a request, a spawned function. The greenlet package's C API is found
 * at run time, when somebody asks for it (gw_green_enable); as long as nobody does, all of this is one test of a flag.
 *
 * Each Python thread has a hub, the greenlet that Go's calls come in on, and runners, greenlets of ours that run one job
 * after the other: a new one for each request is an mmap and a munmap since CPython 3.11. A job keeps its runner from its
 * first step to its last. Handing back is a switch to the hub, whose call returns to Go with GW_SUSPENDED; there are no
 * frames of Go's in a greenlet then. gw_resume switches back.
 *
 * Runs on the Python thread that has the job, GIL held.
 */
#include <stdlib.h>

#include "shim_compat.h"
#include "shim_int.h"

/* greenlet.h: the places of the functions in its table, the same since 1.0. */
enum { GREENLET_NEW = 3, GREENLET_GETCURRENT = 4, GREENLET_SWITCH = 6 };

static struct {
	PyObject *(*new)(PyObject *run, PyObject *parent);
	PyObject *(*current)(void);
	PyObject *(*switch_to)(PyObject *g, PyObject *args, PyObject *kwargs);
	PyObject *count; /* owned: sys.getrefcount */
	long alone; /* its result for an idle runner's greenlet that nobody else has; -1: not known */
} green;

int gw_green_on;
__thread gw_thread *gw_self;

struct gw_runner {
	PyObject *greenlet; /* owned */
	gw_job *job; /* that it runs; NULL: idle */
	gw_todo todo; /* the step it is in; NULL: none, the last one came to result */
	int result;
	int begun, dead; /* greenlet */
	PyObject *context; /* owned: contextvars of the job */
	int entered; /* context */
	gw_runner *next; /* while it is idle */
};

enum { KEEP_RUNNERS = 128 }; /* idle ones of a thread */

static __thread gw_runner *starting; /* whose greenlet begins now */

static long references(PyObject *o) {
	PyObject *n = gw_call_onearg(green.count, o);
	long count = n ? py.PyLong_AsLong(n) : -1;
	if (n)
		py.Py_DecRef(n);
	return count;
}

static PyObject *probe_main(PyObject *self, PyObject *args) {
	(void)args;
	return green.switch_to(self, NULL, NULL);
}

/* Finds green.alone out. -1: an exception is set. */
static int count_alone(void) {
	static PyMethodDef def = {"probe", probe_main, METH_NOARGS, NULL};
	green.alone = -1;
	PyObject *here = green.count ? green.current() : NULL;
	PyObject *run = here ? py.PyCFunction_NewEx(&def, here, NULL) : NULL;
	PyObject *g = run ? green.new(run, here) : NULL;
	for (int turn = 0; g && turn < 2; turn++) { /* to where it waits, and to its end */
		PyObject *o = green.switch_to(g, NULL, NULL);
		if (o)
			py.Py_DecRef(o);
		if (o && turn == 0)
			green.alone = references(g);
	}
	PyObject *owned[] = {here, run, g};
	for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
		if (owned[i])
			py.Py_DecRef(owned[i]);
	return green.alone < 0 ? -1 : 0;
}

int gw_green_enable(void) {
	static int failed;
	if (gw_green_on || failed)
		return gw_green_on;
	if (gw_py_free_threaded) {
		failed = 1; /* greenlet does not support it */
		return 0;
	}
	PyObject *module = py.PyImport_ImportModule("greenlet._greenlet");
	PyObject *capsule = module ? py.PyObject_GetAttrString(module, "_C_API") : NULL;
	void **table = capsule ? py.PyCapsule_GetPointer(capsule, "greenlet._C_API") : NULL;
	if (module)
		py.Py_DecRef(module);
	if (!table) { /* else the capsule is kept for ever */
		if (capsule)
			py.Py_DecRef(capsule);
		py.PyErr_Clear();
		failed = 1;
		return 0;
	}
	*(void **)&green.new = table[GREENLET_NEW];
	*(void **)&green.current = table[GREENLET_GETCURRENT];
	*(void **)&green.switch_to = table[GREENLET_SWITCH];
	green.count = py.PySys_GetObject("getrefcount"); /* borrowed */
	if (green.count)
		py.Py_IncRef(green.count);
	if (count_alone() < 0)
		py.PyErr_Clear();
	gw_green_on = 1;
	return 1;
}

void gw_thread_may_suspend(gw_thread *t, int may) { t->may_suspend = may; }

int gw_green_there(void) { return __atomic_load_n(&gw_green_on, __ATOMIC_RELAXED); }

/* ------------------------------------------------------------------------------------------------ runners */

/* What a runner's greenlet runs: one job after the other, until it is told to end. */
static PyObject *runner_main(PyObject *self, PyObject *args) {
	(void)self;
	(void)args;
	gw_runner *r = starting;
	starting = NULL;
	while (r->todo) {
		gw_job *j = r->job;
		if (r->context && !r->entered)
			r->entered = py.PyContext_Enter(r->context) == 0;
		r->result = r->todo(j);
		if (r->entered && j->gen == 0) {
			r->entered = 0;
			if (py.PyContext_Exit(r->context) < 0)
				py.PyErr_Clear();
		}
		r->todo = NULL;
		if (GW_UNLIKELY(
			    j->parked)) /* the app has switched to it by itself: Go is to know that it has gone on */
			gwgo_ready(j->index, j->parked, 0);
		PyObject *back = green.switch_to(gw_self->hub, NULL, NULL);
		if (GW_UNLIKELY(!back)) { /* thrown in by the app, which has kept the greenlet */
			r->dead = 1;
			return NULL;
		}
		py.Py_DecRef(back);
	}
	r->dead = 1; /* told to end; or the app has switched to it while it was idle */
	py.Py_IncRef(Py_None);
	return Py_None;
}

static gw_runner *runner_new(gw_thread *t) {
	static PyMethodDef def = {"run", runner_main, METH_NOARGS, NULL};
	gw_runner *r = calloc(1, sizeof *r);
	PyObject *run = r ? py.PyCFunction_NewEx(&def, NULL, NULL) : NULL;
	if (run) {
		r->greenlet = green.new(run, t->hub);
		py.Py_DecRef(run);
	}
	if (!r || !r->greenlet) {
		py.PyErr_Clear();
		free(r);
		return NULL;
	}
	GW_COUNT(GW_CNT_GREENLETS, 1);
	return r;
}

static void runner_delete(gw_runner *r) {
	if (r->begun && !r->dead) { /* idle: its loop ends */
		PyObject *o = green.switch_to(r->greenlet, NULL, NULL);
		if (o)
			py.Py_DecRef(o);
		else
			py.PyErr_Clear();
	}
	GW_COUNT(GW_CNT_GREENLETS, -1);
	py.Py_DecRef(r->greenlet);
	free(r);
}

/* A runner for j; NULL: there is no memory. */
static gw_runner *take_runner(gw_thread *t, gw_job *j) {
	gw_runner *r;
	while (GW_LIKELY((r = t->runners) != NULL)) {
		t->runners = r->next;
		t->nrunners--;
		if (GW_LIKELY(!r->dead))
			break;
		runner_delete(r);
	}
	if (!r && !(r = runner_new(t)))
		return NULL;
	/* What the thread's own code has set, and nothing of other requests. */
	r->context = py.PyContext_CopyCurrent();
	if (GW_UNLIKELY(!r->context))
		py.PyErr_Clear();
	r->job = j;
	j->runner = r;
	j->on = t;
	return r;
}

static void give_runner(gw_thread *t, gw_runner *r) {
	PyObject *context = r->context;
	r->job->runner = NULL;
	r->job = NULL;
	r->context = NULL;
	r->entered = 0;
	/* What the application has kept of it, to throw something into it perhaps, is to hit no request that has it later. */
	int kept = green.alone >= 0 && references(r->greenlet) != green.alone;
	if (GW_LIKELY(!r->dead && !kept && t->nrunners < KEEP_RUNNERS)) {
		r->next = t->runners;
		t->runners = r;
		t->nrunners++;
	} else {
		runner_delete(r);
	}
	if (context)
		py.Py_DecRef(context);
}

void gw_green_end(gw_thread *t) {
	while (t->runners) {
		gw_runner *r = t->runners;
		t->runners = r->next;
		t->nrunners--;
		runner_delete(r);
	}
	PyObject *hub = t->hub;
	t->hub = NULL;
	if (hub)
		py.Py_DecRef(hub);
}

/* ------------------------------------------------------------------------------------------------ switching */

static int is_dead(PyObject *g) {
	PyObject *dead = py.PyObject_GetAttrString(g, "dead");
	int is = !dead || py.PyObject_IsTrue(dead) != 0;
	if (dead)
		py.Py_DecRef(dead);
	else
		py.PyErr_Clear();
	return is;
}

/* Goes on in g, which belongs to j, until j's step is done or it hands back. */
static int go_on(gw_thread *t, gw_job *j, PyObject *g) {
	gw_runner *r = j->runner;
	for (;;) {
		t->job = j;
		PyObject *o = green.switch_to(g, NULL, NULL);
		t->job = j;
		if (GW_LIKELY(o != NULL))
			py.Py_DecRef(o);
		else
			gw_log_exception(j, "in the greenlet of a request");
		if (j->away) {
			j->parked = j->gen;
			t->job = NULL; /* Go puts it aside */
			return GW_SUSPENDED;
		}
		if (GW_LIKELY(!r->todo)) {
			int result = r->result;
			if (j->gen == 0)
				give_runner(t, r);
			return result;
		}
		if (is_dead(r->greenlet)) { /* ended from outside, by throw() */
			r->dead = 1;
			r->todo = NULL;
			int result = gw_call_broken(j);
			give_runner(t, r);
			return result;
		}
		g = r->greenlet; /* the app has switched to the hub, which is no place to wait */
	}
}

int gw_green_run(gw_thread *t, gw_job *j, gw_todo todo) {
	gw_runner *r = j->runner;
	if (!r) {
		if (GW_UNLIKELY(!t->hub) && !(t->hub = green.current()))
			py.PyErr_Clear();
		if (GW_UNLIKELY(!t->hub || !(r = take_runner(t, j))))
			return todo(j); /* which cannot suspend */
	}
	r->todo = todo;
	if (GW_UNLIKELY(!r->begun)) {
		r->begun = 1;
		starting = r;
	}
	return go_on(t, j, r->greenlet);
}

int gw_resume(gw_thread *t) {
	gw_job *j = t->job;
	gw_runner *r = j->runner;
	gw_take_gil(t);
	j->parked = 0;
	PyObject *g = j->away;
	j->away = NULL;
	if (GW_UNLIKELY(!r->todo)) { /* it has gone on by itself, to the end of the step */
		int result = r->result;
		if (j->gen == 0)
			give_runner(t, r);
		return result;
	}
	int result = go_on(t, j, g ? g : r->greenlet);
	if (g)
		py.Py_DecRef(g);
	return result;
}

int gw_green_can(void) {
	gw_thread *t = gw_self;
	if (!gw_green_on || !t || !t->may_suspend || !t->has_gil || !t->job || !t->job->runner || !t->job->runner->todo)
		return 0;
	PyObject *g = green.current();
	if (!g) {
		py.PyErr_Clear();
		return 0;
	}
	py.Py_DecRef(g); /* the thread has it */
	return g != t->hub;
}

PyObject *gw_green_owner(void) { return gw_self->job->runner->greenlet; }

int gw_green_hand_back(void) {
	gw_thread *t = gw_self;
	gw_job *j = t->job;
	PyObject *g = green.current();
	if (!g)
		return -1;
	j->away = g;
	PyObject *o = green.switch_to(t->hub, NULL, NULL);
	if (GW_UNLIKELY(j->away == g)) { /* somebody else has switched to g, or thrown into it */
		j->away = NULL;
		py.Py_DecRef(g);
	}
	if (!o)
		return -1;
	py.Py_DecRef(o);
	return 0;
}
