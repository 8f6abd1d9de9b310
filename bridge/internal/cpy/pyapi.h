/*
 * pyapi.h: the part of the CPython API that gowsgi uses, declared by hand and found at run time.
 *
 * No Python.h: one build serves every CPython from 3.8 on, so a PyObject is opaque, every function is a pointer in one
 * table, and dlsym fills that table at start (pyapi.c). A call reads as usual with a prefix: py.PyDict_SetItem(d, k, v).
 *
 * The lists below are X-macros so that the table, the loader and the test that compares each row with the real headers
 * (prototypes_test.go) cannot drift apart. To use one more function, add its row; nothing else.
 *
 * Thread: filled once, before any other C of this package runs; read-only afterwards, from any thread.
 */
#ifndef GW_PYAPI_H
#define GW_PYAPI_H

#include <stddef.h>
#include <stdint.h>
#include <wchar.h>
#include <sys/types.h>

/*
 * The prototype test includes the real Python.h first and defines GW_PYAPI_CHECK: then the types and constants come
 * from Python, and our structs get another name, so that the two can be compared.
 */
#ifdef GW_PYAPI_CHECK
#define GW_STRUCT(name) gw_check_##name
#else
#define GW_STRUCT(name) name

typedef ssize_t Py_ssize_t;
typedef ssize_t Py_hash_t;

typedef struct _object PyObject;
typedef struct _typeobject PyTypeObject;
typedef struct _ts PyThreadState;
typedef struct _is PyInterpreterState;
typedef struct PyModuleDef PyModuleDef;
typedef struct GW_PyCompilerFlags PyCompilerFlags; /* always passed as NULL */

typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef PyObject *(*PyCFunctionWithKeywords)(PyObject *, PyObject *, PyObject *);
typedef PyObject *(*_PyCFunctionFast)(PyObject *, PyObject *const *, Py_ssize_t);
typedef PyObject *(*getter)(PyObject *, void *);
typedef int (*setter)(PyObject *, PyObject *, void *);
typedef int (*visitproc)(PyObject *, void *);
typedef int (*traverseproc)(PyObject *, visitproc, void *);
typedef int (*inquiry)(PyObject *);
typedef void (*freefunc)(void *);
typedef void (*destructor)(PyObject *);
typedef void (*PyOS_sighandler_t)(int);
typedef enum { PyGILState_LOCKED, PyGILState_UNLOCKED } PyGILState_STATE;
#endif

/* PyInitConfig came with 3.14, so the check declares it for the headers before. */
#if !defined(GW_PYAPI_CHECK) || PY_VERSION_HEX < 0x030E0000
typedef struct PyInitConfig PyInitConfig;
#endif

/* Structs that the stable ABI fixes. They are ours to fill and Python's to read. */

typedef struct GW_STRUCT(PyMethodDef) {
	const char *ml_name;
	PyCFunction ml_meth;
	int ml_flags;
	const char *ml_doc;
} GW_STRUCT(PyMethodDef);

typedef struct GW_STRUCT(PyMemberDef) {
	const char *name;
	int type;
	Py_ssize_t offset;
	int flags;
	const char *doc;
} GW_STRUCT(PyMemberDef);

typedef struct GW_STRUCT(PyGetSetDef) {
	const char *name;
	getter get;
	setter set;
	const char *doc;
	void *closure;
} GW_STRUCT(PyGetSetDef);

/* Part of the stable ABI from 3.11 on, and the same before. */
typedef struct GW_STRUCT(Py_buffer) {
	void *buf;
	PyObject *obj;
	Py_ssize_t len;
	Py_ssize_t itemsize;
	int readonly;
	int ndim;
	char *format;
	Py_ssize_t *shape;
	Py_ssize_t *strides;
	Py_ssize_t *suboffsets;
	void *internal;
} GW_STRUCT(Py_buffer);

typedef struct GW_STRUCT(PyType_Slot) {
	int slot;
	void *pfunc;
} GW_STRUCT(PyType_Slot);

typedef struct GW_STRUCT(PyType_Spec) {
	const char *name;
	int basicsize;
	int itemsize;
	unsigned int flags;
	GW_STRUCT(PyType_Slot) * slots;
} GW_STRUCT(PyType_Spec);

typedef struct GW_STRUCT(PyModuleDef_Slot) {
	int slot;
	void *value;
} GW_STRUCT(PyModuleDef_Slot);

/* What follows the object head in a PyModuleDef; the head's size is known only at run time (shim_pyinit.c). */
typedef struct gw_module_def_tail {
	PyObject *(*m_init)(void);
	Py_ssize_t m_index;
	PyObject *m_copy;
	const char *m_name;
	const char *m_doc;
	Py_ssize_t m_size;
	GW_STRUCT(PyMethodDef) * m_methods;
	GW_STRUCT(PyModuleDef_Slot) * m_slots;
	traverseproc m_traverse;
	inquiry m_clear;
	freefunc m_free;
} gw_module_def_tail;

/*
 * Numbers that the stable ABI fixes: X(name, value). 3.15 gave some slots a second number; the first, which it takes as
 * before, is the one here.
 */
#define GW_PYAPI_CONSTS(X)                                                                                             \
	X(METH_VARARGS, 0x0001)                                                                                        \
	X(METH_KEYWORDS, 0x0002)                                                                                       \
	X(METH_NOARGS, 0x0004)                                                                                         \
	X(METH_O, 0x0008)                                                                                              \
	X(METH_CLASS, 0x0010)                                                                                          \
	X(METH_STATIC, 0x0020)                                                                                         \
	X(METH_FASTCALL, 0x0080)                                                                                       \
	X(Py_mp_ass_subscript, 3)                                                                                      \
	X(Py_mp_length, 4)                                                                                             \
	X(Py_mp_subscript, 5)                                                                                          \
	X(Py_nb_bool, 9)                                                                                               \
	X(Py_sq_contains, 41)                                                                                          \
	X(Py_sq_item, 44)                                                                                              \
	X(Py_sq_length, 45)                                                                                            \
	X(Py_tp_alloc, 47)                                                                                             \
	X(Py_tp_base, 48)                                                                                              \
	X(Py_tp_bases, 49)                                                                                             \
	X(Py_tp_call, 50)                                                                                              \
	X(Py_tp_clear, 51)                                                                                             \
	X(Py_tp_dealloc, 52)                                                                                           \
	X(Py_tp_del, 53)                                                                                               \
	X(Py_tp_descr_get, 54)                                                                                         \
	X(Py_tp_descr_set, 55)                                                                                         \
	X(Py_tp_doc, 56)                                                                                               \
	X(Py_tp_getattr, 57)                                                                                           \
	X(Py_tp_getattro, 58)                                                                                          \
	X(Py_tp_hash, 59)                                                                                              \
	X(Py_tp_init, 60)                                                                                              \
	X(Py_tp_is_gc, 61)                                                                                             \
	X(Py_tp_iter, 62)                                                                                              \
	X(Py_tp_iternext, 63)                                                                                          \
	X(Py_tp_methods, 64)                                                                                           \
	X(Py_tp_new, 65)                                                                                               \
	X(Py_tp_repr, 66)                                                                                              \
	X(Py_tp_richcompare, 67)                                                                                       \
	X(Py_tp_setattr, 68)                                                                                           \
	X(Py_tp_setattro, 69)                                                                                          \
	X(Py_tp_str, 70)                                                                                               \
	X(Py_tp_traverse, 71)                                                                                          \
	X(Py_tp_members, 72)                                                                                           \
	X(Py_tp_getset, 73)                                                                                            \
	X(Py_tp_free, 74)                                                                                              \
	X(Py_tp_finalize, 80)                                                                                          \
	X(Py_mod_create, 1)                                                                                            \
	X(Py_mod_exec, 2)                                                                                              \
	X(PyBUF_WRITABLE, 0x001)                                                                                       \
	X(PyBUF_READ, 0x100)                                                                                           \
	X(PyBUF_WRITE, 0x200)                                                                                          \
	X(Py_LT, 0)                                                                                                    \
	X(Py_LE, 1)                                                                                                    \
	X(Py_EQ, 2)                                                                                                    \
	X(Py_NE, 3)                                                                                                    \
	X(Py_GT, 4)                                                                                                    \
	X(Py_GE, 5)                                                                                                    \
	X(Py_single_input, 256)                                                                                        \
	X(Py_file_input, 257)                                                                                          \
	X(Py_eval_input, 258)                                                                                          \
	X(Py_PRINT_RAW, 1)                                                                                             \
	X(PyUnicode_1BYTE_KIND, 1)                                                                                     \
	X(PyUnicode_2BYTE_KIND, 2)                                                                                     \
	X(PyUnicode_4BYTE_KIND, 4)

/* Numbers that only later headers have, or that are unsigned long there: checked where the header defines them. */
#define Py_GW_FLAG(n) (1UL << (n))
#define GW_PYAPI_FLAGS(X)                                                                                              \
	X(Py_TPFLAGS_DISALLOW_INSTANTIATION, Py_GW_FLAG(7)) /* 3.10; ignored before */                                 \
	X(Py_TPFLAGS_IMMUTABLETYPE, Py_GW_FLAG(8))          /* 3.10; ignored before */                                          \
	X(Py_TPFLAGS_HEAPTYPE, Py_GW_FLAG(9))                                                                          \
	X(Py_TPFLAGS_BASETYPE, Py_GW_FLAG(10))                                                                         \
	X(Py_TPFLAGS_HAVE_VECTORCALL, Py_GW_FLAG(11))       /* 3.9 */                                                        \
	X(Py_TPFLAGS_HAVE_GC, Py_GW_FLAG(14))                                                                          \
	X(Py_TPFLAGS_HAVE_VERSION_TAG, Py_GW_FLAG(18))                                                                 \
	X(Py_TPFLAGS_LONG_SUBCLASS, Py_GW_FLAG(24))                                                                    \
	X(Py_TPFLAGS_LIST_SUBCLASS, Py_GW_FLAG(25))                                                                    \
	X(Py_TPFLAGS_TUPLE_SUBCLASS, Py_GW_FLAG(26))                                                                   \
	X(Py_TPFLAGS_BYTES_SUBCLASS, Py_GW_FLAG(27))                                                                   \
	X(Py_TPFLAGS_UNICODE_SUBCLASS, Py_GW_FLAG(28))                                                                 \
	X(Py_TPFLAGS_DICT_SUBCLASS, Py_GW_FLAG(29))                                                                    \
	X(Py_TPFLAGS_BASE_EXC_SUBCLASS, Py_GW_FLAG(30))                                                                \
	X(Py_TPFLAGS_TYPE_SUBCLASS, Py_GW_FLAG(31))                                                                    \
	X(PY_VECTORCALL_ARGUMENTS_OFFSET, Py_GW_FLAG(8 * sizeof(size_t) - 1))

#ifndef GW_PYAPI_CHECK
enum {
#define GW_X(name, value) name = value,
	GW_PYAPI_CONSTS(GW_X)
#undef GW_X
};

#define Py_TPFLAGS_DISALLOW_INSTANTIATION Py_GW_FLAG(7)
#define Py_TPFLAGS_IMMUTABLETYPE Py_GW_FLAG(8)
#define Py_TPFLAGS_HEAPTYPE Py_GW_FLAG(9)
#define Py_TPFLAGS_BASETYPE Py_GW_FLAG(10)
#define Py_TPFLAGS_HAVE_VECTORCALL Py_GW_FLAG(11)
#define Py_TPFLAGS_HAVE_GC Py_GW_FLAG(14)
#define Py_TPFLAGS_HAVE_VERSION_TAG Py_GW_FLAG(18)
#define Py_TPFLAGS_LONG_SUBCLASS Py_GW_FLAG(24)
#define Py_TPFLAGS_LIST_SUBCLASS Py_GW_FLAG(25)
#define Py_TPFLAGS_TUPLE_SUBCLASS Py_GW_FLAG(26)
#define Py_TPFLAGS_BYTES_SUBCLASS Py_GW_FLAG(27)
#define Py_TPFLAGS_UNICODE_SUBCLASS Py_GW_FLAG(28)
#define Py_TPFLAGS_DICT_SUBCLASS Py_GW_FLAG(29)
#define Py_TPFLAGS_BASE_EXC_SUBCLASS Py_GW_FLAG(30)
#define Py_TPFLAGS_TYPE_SUBCLASS Py_GW_FLAG(31)
#define PY_VECTORCALL_ARGUMENTS_OFFSET Py_GW_FLAG(8 * sizeof(size_t) - 1)

/* 3.8 and 3.9 cache attribute look-ups only for types that carry this flag; later ones take it and ignore it. */
#define Py_TPFLAGS_DEFAULT Py_TPFLAGS_HAVE_VERSION_TAG

/* structmember.h */
#define T_INT 1
#define T_OBJECT_EX 16
#define T_PYSSIZET 19
#define READONLY 1

#define PyUnicode_Kind int

#define METH_FASTCALL_KEYWORDS (METH_FASTCALL | METH_KEYWORDS)
#endif

/* Module slots that came with 3.12 and 3.13; an older Python refuses an unknown slot, so ask gw_py_version first. */
#define GW_MOD_MULTIPLE_INTERPRETERS 3
#define GW_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED ((void *)0)
#define GW_MOD_GIL 4
#define GW_MOD_GIL_NOT_USED ((void *)1)

/*
 * Mandatory functions: X(result, name, (parameters)). Every supported Python exports them; without one of them the
 * load fails and says which. What each takes, returns and steals is in the Python/C API manual under its name.
 */
#define GW_PYAPI_FUNCS(X)                                                                                              \
	/* the interpreter */                                                                                          \
	X(const char *, Py_GetVersion, (void))                                                                         \
	X(int, Py_IsInitialized, (void))                                                                               \
	X(void, Py_InitializeEx, (int))                                                                                \
	X(int, Py_FinalizeEx, (void))                                                                                  \
	X(wchar_t *, Py_DecodeLocale, (const char *, size_t *))                                                        \
	X(int, Py_AddPendingCall, (int (*)(void *), void *))                                                           \
	X(int, Py_AtExit, (void (*)(void)))                                                                            \
	/* memory and references */                                                                                    \
	X(void, Py_IncRef, (PyObject *))                                                                               \
	X(void, Py_DecRef, (PyObject *))                                                                               \
	X(void *, PyMem_RawMalloc, (size_t))                                                                           \
	X(void, PyMem_RawFree, (void *))                                                                               \
	X(void *, PyMem_Malloc, (size_t))                                                                              \
	X(void, PyMem_Free, (void *))                                                                                  \
	X(void *, PyObject_Malloc, (size_t))                                                                           \
	X(void, PyObject_Free, (void *))                                                                               \
	X(Py_ssize_t, PyGC_Collect, (void))                                                                            \
	X(void, PyObject_GC_Track, (void *))                                                                           \
	X(void, PyObject_GC_UnTrack, (void *))                                                                         \
	X(void, PyObject_GC_Del, (void *))                                                                             \
	/* threads */                                                                                                  \
	X(PyThreadState *, PyEval_SaveThread, (void))                                                                  \
	X(void, PyEval_RestoreThread, (PyThreadState *))                                                               \
	X(void, PyEval_AcquireThread, (PyThreadState *))                                                               \
	X(void, PyEval_ReleaseThread, (PyThreadState *))                                                               \
	X(PyThreadState *, PyThreadState_New, (PyInterpreterState *))                                                  \
	X(PyThreadState *, PyThreadState_Get, (void))                                                                  \
	X(PyThreadState *, PyThreadState_Swap, (PyThreadState *))                                                      \
	X(void, PyThreadState_Clear, (PyThreadState *))                                                                \
	X(void, PyThreadState_Delete, (PyThreadState *))                                                               \
	X(void, PyThreadState_DeleteCurrent, (void))                                                                   \
	X(PyObject *, PyThreadState_GetDict, (void))                                                                   \
	X(int, PyThreadState_SetAsyncExc, (unsigned long, PyObject *))                                                 \
	X(PyInterpreterState *, PyInterpreterState_Main, (void))                                                       \
	X(PyGILState_STATE, PyGILState_Ensure, (void))                                                                 \
	X(void, PyGILState_Release, (PyGILState_STATE))                                                                \
	X(int, PyGILState_Check, (void))                                                                               \
	X(PyThreadState *, PyGILState_GetThisThreadState, (void))                                                      \
	X(PyObject *, PyEval_GetBuiltins, (void))                                                                      \
	X(PyObject *, PyEval_EvalCode, (PyObject *, PyObject *, PyObject *))                                           \
	/* fork and signals */                                                                                         \
	X(void, PyOS_BeforeFork, (void))                                                                               \
	X(void, PyOS_AfterFork_Parent, (void))                                                                         \
	X(void, PyOS_AfterFork_Child, (void))                                                                          \
	X(int, PyOS_InterruptOccurred, (void))                                                                         \
	X(PyOS_sighandler_t, PyOS_getsig, (int))                                                                       \
	X(PyOS_sighandler_t, PyOS_setsig, (int, PyOS_sighandler_t))                                                    \
	/* exceptions */                                                                                               \
	X(PyObject *, PyErr_Occurred, (void))                                                                          \
	X(void, PyErr_Clear, (void))                                                                                   \
	X(void, PyErr_Fetch, (PyObject **, PyObject **, PyObject **))                                                  \
	X(void, PyErr_Restore, (PyObject *, PyObject *, PyObject *))                                                   \
	X(void, PyErr_NormalizeException, (PyObject **, PyObject **, PyObject **))                                     \
	X(void, PyErr_GetExcInfo, (PyObject **, PyObject **, PyObject **))                                             \
	X(void, PyErr_SetExcInfo, (PyObject *, PyObject *, PyObject *))                                                \
	X(void, PyErr_SetString, (PyObject *, const char *))                                                           \
	X(void, PyErr_SetObject, (PyObject *, PyObject *))                                                             \
	X(void, PyErr_SetNone, (PyObject *))                                                                           \
	X(PyObject *, PyErr_Format, (PyObject *, const char *, ...))                                                   \
	X(int, PyErr_ExceptionMatches, (PyObject *))                                                                   \
	X(int, PyErr_GivenExceptionMatches, (PyObject *, PyObject *))                                                  \
	X(int, PyErr_CheckSignals, (void))                                                                             \
	X(void, PyErr_SetInterrupt, (void))                                                                            \
	X(PyObject *, PyErr_NoMemory, (void))                                                                          \
	X(void, PyErr_WriteUnraisable, (PyObject *))                                                                   \
	X(void, PyErr_PrintEx, (int))                                                                                  \
	X(void, PyErr_Display, (PyObject *, PyObject *, PyObject *))                                                   \
	X(int, PyErr_BadArgument, (void))                                                                              \
	X(PyObject *, PyErr_NewException, (const char *, PyObject *, PyObject *))                                      \
	X(PyObject *, PyErr_SetFromErrno, (PyObject *))                                                                \
	X(int, PyErr_WarnEx, (PyObject *, const char *, Py_ssize_t))                                                   \
	X(PyObject *, PyException_GetTraceback, (PyObject *))                                                          \
	X(int, PyException_SetTraceback, (PyObject *, PyObject *))                                                     \
	X(PyObject *, PyException_GetCause, (PyObject *))                                                              \
	X(void, PyException_SetCause, (PyObject *, PyObject *))                                                        \
	X(PyObject *, PyException_GetContext, (PyObject *))                                                            \
	X(void, PyException_SetContext, (PyObject *, PyObject *))                                                      \
	X(int, PyTraceBack_Print, (PyObject *, PyObject *))                                                            \
	/* objects */                                                                                                  \
	X(PyObject *, PyObject_Type, (PyObject *))                                                                     \
	X(PyObject *, PyObject_Str, (PyObject *))                                                                      \
	X(PyObject *, PyObject_Repr, (PyObject *))                                                                     \
	X(PyObject *, PyObject_ASCII, (PyObject *))                                                                    \
	X(PyObject *, PyObject_GetAttr, (PyObject *, PyObject *))                                                      \
	X(PyObject *, PyObject_GetAttrString, (PyObject *, const char *))                                              \
	X(int, PyObject_SetAttr, (PyObject *, PyObject *, PyObject *))                                                 \
	X(int, PyObject_SetAttrString, (PyObject *, const char *, PyObject *))                                         \
	X(int, PyObject_HasAttrString, (PyObject *, const char *))                                                     \
	X(PyObject *, PyObject_Call, (PyObject *, PyObject *, PyObject *))                                             \
	X(PyObject *, PyObject_CallObject, (PyObject *, PyObject *))                                                   \
	X(PyObject *, PyObject_CallFunctionObjArgs, (PyObject *, ...))                                                 \
	X(PyObject *, PyObject_CallMethodObjArgs, (PyObject *, PyObject *, ...))                                       \
	X(int, PyObject_IsInstance, (PyObject *, PyObject *))                                                          \
	X(int, PyObject_IsSubclass, (PyObject *, PyObject *))                                                          \
	X(int, PyObject_IsTrue, (PyObject *))                                                                          \
	X(PyObject *, PyObject_GetIter, (PyObject *))                                                                  \
	X(PyObject *, PyObject_SelfIter, (PyObject *))                                                                 \
	X(Py_ssize_t, PyObject_Size, (PyObject *))                                                                     \
	X(Py_hash_t, PyObject_Hash, (PyObject *))                                                                      \
	X(PyObject *, PyObject_GetItem, (PyObject *, PyObject *))                                                      \
	X(int, PyObject_SetItem, (PyObject *, PyObject *, PyObject *))                                                 \
	X(PyObject *, PyObject_RichCompare, (PyObject *, PyObject *, int))                                             \
	X(int, PyObject_RichCompareBool, (PyObject *, PyObject *, int))                                                \
	X(PyObject *, PyObject_Init, (PyObject *, PyTypeObject *))                                                     \
	X(PyObject *, PyObject_GenericGetAttr, (PyObject *, PyObject *))                                               \
	X(int, PyObject_GenericSetAttr, (PyObject *, PyObject *, PyObject *))                                          \
	X(int, PyObject_AsFileDescriptor, (PyObject *))                                                                \
	X(void, PyObject_ClearWeakRefs, (PyObject *))                                                                  \
	X(int, PyCallable_Check, (PyObject *))                                                                         \
	X(PyObject *, PyIter_Next, (PyObject *))                                                                       \
	X(PyObject *, PyVectorcall_Call, (PyObject *, PyObject *, PyObject *))                                         \
	/* sequences and mappings */                                                                                   \
	X(int, PySequence_Check, (PyObject *))                                                                         \
	X(Py_ssize_t, PySequence_Size, (PyObject *))                                                                   \
	X(PyObject *, PySequence_GetItem, (PyObject *, Py_ssize_t))                                                    \
	X(PyObject *, PySequence_Fast, (PyObject *, const char *))                                                     \
	X(PyObject *, PySequence_List, (PyObject *))                                                                   \
	X(PyObject *, PySequence_Tuple, (PyObject *))                                                                  \
	X(int, PySequence_Contains, (PyObject *, PyObject *))                                                          \
	X(int, PyMapping_Check, (PyObject *))                                                                          \
	X(PyObject *, PyMapping_Items, (PyObject *))                                                                   \
	X(PyObject *, PyDict_New, (void))                                                                              \
	X(PyObject *, PyDict_Copy, (PyObject *))                                                                       \
	X(void, PyDict_Clear, (PyObject *))                                                                            \
	X(int, PyDict_SetItem, (PyObject *, PyObject *, PyObject *))                                                   \
	X(int, PyDict_SetItemString, (PyObject *, const char *, PyObject *))                                           \
	X(PyObject *, PyDict_GetItemString, (PyObject *, const char *))                                                \
	X(PyObject *, PyDict_GetItemWithError, (PyObject *, PyObject *))                                               \
	X(PyObject *, PyDict_SetDefault, (PyObject *, PyObject *, PyObject *))                                         \
	X(int, PyDict_DelItem, (PyObject *, PyObject *))                                                               \
	X(int, PyDict_DelItemString, (PyObject *, const char *))                                                       \
	X(Py_ssize_t, PyDict_Size, (PyObject *))                                                                       \
	X(int, PyDict_Next, (PyObject *, Py_ssize_t *, PyObject **, PyObject **))                                      \
	X(int, PyDict_Update, (PyObject *, PyObject *))                                                                \
	X(int, PyDict_Contains, (PyObject *, PyObject *))                                                              \
	X(PyObject *, PyDict_Keys, (PyObject *))                                                                       \
	X(PyObject *, PyDict_Items, (PyObject *))                                                                      \
	X(PyObject *, PyDictProxy_New, (PyObject *))                                                                   \
	X(PyObject *, PyList_New, (Py_ssize_t))                                                                        \
	X(Py_ssize_t, PyList_Size, (PyObject *))                                                                       \
	X(PyObject *, PyList_GetItem, (PyObject *, Py_ssize_t))                                                        \
	X(int, PyList_SetItem, (PyObject *, Py_ssize_t, PyObject *))                                                   \
	X(int, PyList_Append, (PyObject *, PyObject *))                                                                \
	X(int, PyList_Insert, (PyObject *, Py_ssize_t, PyObject *))                                                    \
	X(PyObject *, PyList_GetSlice, (PyObject *, Py_ssize_t, Py_ssize_t))                                           \
	X(int, PyList_SetSlice, (PyObject *, Py_ssize_t, Py_ssize_t, PyObject *))                                      \
	X(PyObject *, PyList_AsTuple, (PyObject *))                                                                    \
	X(PyObject *, PyTuple_New, (Py_ssize_t))                                                                       \
	X(Py_ssize_t, PyTuple_Size, (PyObject *))                                                                      \
	X(PyObject *, PyTuple_GetItem, (PyObject *, Py_ssize_t))                                                       \
	X(int, PyTuple_SetItem, (PyObject *, Py_ssize_t, PyObject *))                                                  \
	X(PyObject *, PyTuple_Pack, (Py_ssize_t, ...))                                                                 \
	X(PyObject *, PySet_New, (PyObject *))                                                                         \
	X(int, PySet_Add, (PyObject *, PyObject *))                                                                    \
	X(int, PySet_Contains, (PyObject *, PyObject *))                                                               \
	/* bytes and buffers */                                                                                        \
	X(PyObject *, PyBytes_FromString, (const char *))                                                              \
	X(PyObject *, PyBytes_FromStringAndSize, (const char *, Py_ssize_t))                                           \
	X(PyObject *, PyBytes_FromObject, (PyObject *))                                                                \
	X(int, PyBytes_AsStringAndSize, (PyObject *, char **, Py_ssize_t *))                                           \
	X(char *, PyBytes_AsString, (PyObject *))                                                                      \
	X(Py_ssize_t, PyBytes_Size, (PyObject *))                                                                      \
	X(int, _PyBytes_Resize, (PyObject **, Py_ssize_t))                                                             \
	X(PyObject *, PyByteArray_FromStringAndSize, (const char *, Py_ssize_t))                                       \
	X(char *, PyByteArray_AsString, (PyObject *))                                                                  \
	X(Py_ssize_t, PyByteArray_Size, (PyObject *))                                                                  \
	X(int, PyObject_GetBuffer, (PyObject *, Py_buffer *, int))                                                     \
	X(void, PyBuffer_Release, (Py_buffer *))                                                                       \
	X(PyObject *, PyMemoryView_FromMemory, (char *, Py_ssize_t, int))                                              \
	X(PyObject *, PyMemoryView_FromObject, (PyObject *))                                                           \
	/* str */                                                                                                      \
	X(PyObject *, PyUnicode_FromString, (const char *))                                                            \
	X(PyObject *, PyUnicode_FromStringAndSize, (const char *, Py_ssize_t))                                         \
	X(PyObject *, PyUnicode_FromFormat, (const char *, ...))                                                       \
	X(PyObject *, PyUnicode_FromKindAndData, (int, const void *, Py_ssize_t))                                      \
	X(PyObject *, PyUnicode_FromWideChar, (const wchar_t *, Py_ssize_t))                                           \
	X(PyObject *, PyUnicode_InternFromString, (const char *))                                                      \
	X(void, PyUnicode_InternInPlace, (PyObject **))                                                                \
	X(PyObject *, PyUnicode_DecodeLatin1, (const char *, Py_ssize_t, const char *))                                \
	X(PyObject *, PyUnicode_DecodeASCII, (const char *, Py_ssize_t, const char *))                                 \
	X(PyObject *, PyUnicode_DecodeUTF8, (const char *, Py_ssize_t, const char *))                                  \
	X(PyObject *, PyUnicode_DecodeFSDefault, (const char *))                                                       \
	X(PyObject *, PyUnicode_DecodeFSDefaultAndSize, (const char *, Py_ssize_t))                                    \
	X(PyObject *, PyUnicode_DecodeLocale, (const char *, const char *))                                            \
	X(PyObject *, PyUnicode_EncodeFSDefault, (PyObject *))                                                         \
	X(PyObject *, PyUnicode_AsEncodedString, (PyObject *, const char *, const char *))                             \
	X(PyObject *, PyUnicode_AsUTF8String, (PyObject *))                                                            \
	X(PyObject *, PyUnicode_AsLatin1String, (PyObject *))                                                          \
	X(PyObject *, PyUnicode_AsASCIIString, (PyObject *))                                                           \
	X(const char *, PyUnicode_AsUTF8, (PyObject *))                                                                \
	X(const char *, PyUnicode_AsUTF8AndSize, (PyObject *, Py_ssize_t *))                                           \
	X(Py_ssize_t, PyUnicode_GetLength, (PyObject *))                                                               \
	X(PyObject *, PyUnicode_Substring, (PyObject *, Py_ssize_t, Py_ssize_t))                                       \
	X(int, PyUnicode_Compare, (PyObject *, PyObject *))                                                            \
	X(int, PyUnicode_CompareWithASCIIString, (PyObject *, const char *))                                           \
	X(PyObject *, PyUnicode_Concat, (PyObject *, PyObject *))                                                      \
	X(PyObject *, PyUnicode_Join, (PyObject *, PyObject *))                                                        \
	X(int, PyUnicode_FSConverter, (PyObject *, void *))                                                            \
	/* numbers */                                                                                                  \
	X(PyObject *, PyLong_FromLong, (long))                                                                         \
	X(PyObject *, PyLong_FromUnsignedLong, (unsigned long))                                                        \
	X(PyObject *, PyLong_FromLongLong, (long long))                                                                \
	X(PyObject *, PyLong_FromUnsignedLongLong, (unsigned long long))                                               \
	X(PyObject *, PyLong_FromSsize_t, (Py_ssize_t))                                                                \
	X(PyObject *, PyLong_FromSize_t, (size_t))                                                                     \
	X(PyObject *, PyLong_FromVoidPtr, (void *))                                                                    \
	X(long, PyLong_AsLong, (PyObject *))                                                                           \
	X(unsigned long, PyLong_AsUnsignedLong, (PyObject *))                                                          \
	X(long long, PyLong_AsLongLong, (PyObject *))                                                                  \
	X(unsigned long long, PyLong_AsUnsignedLongLong, (PyObject *))                                                 \
	X(Py_ssize_t, PyLong_AsSsize_t, (PyObject *))                                                                  \
	X(void *, PyLong_AsVoidPtr, (PyObject *))                                                                      \
	X(PyObject *, PyFloat_FromDouble, (double))                                                                    \
	X(double, PyFloat_AsDouble, (PyObject *))                                                                      \
	X(PyObject *, PyBool_FromLong, (long))                                                                         \
	X(Py_ssize_t, PyNumber_AsSsize_t, (PyObject *, PyObject *))                                                    \
	X(PyObject *, PyNumber_Index, (PyObject *))                                                                    \
	X(PyObject *, PyNumber_Long, (PyObject *))                                                                     \
	X(int, PyIndex_Check, (PyObject *))                                                                            \
	/* types, modules, imports */                                                                                  \
	X(PyObject *, PyType_FromSpec, (PyType_Spec *))                                                                \
	X(PyObject *, PyType_FromSpecWithBases, (PyType_Spec *, PyObject *))                                           \
	X(PyObject *, PyType_GenericAlloc, (PyTypeObject *, Py_ssize_t))                                               \
	X(PyObject *, PyType_GenericNew, (PyTypeObject *, PyObject *, PyObject *))                                     \
	X(int, PyType_Ready, (PyTypeObject *))                                                                         \
	X(int, PyType_IsSubtype, (PyTypeObject *, PyTypeObject *))                                                     \
	X(unsigned long, PyType_GetFlags, (PyTypeObject *))                                                            \
	X(void *, PyType_GetSlot, (PyTypeObject *, int)) /* 3.8 and 3.9: heap types only */                            \
	X(PyObject *, PyModule_New, (const char *))                                                                    \
	X(PyObject *, PyModule_GetDict, (PyObject *))                                                                  \
	X(PyObject *, PyModule_GetNameObject, (PyObject *))                                                            \
	X(void *, PyModule_GetState, (PyObject *))                                                                     \
	X(int, PyModule_AddObject, (PyObject *, const char *, PyObject *))                                             \
	X(int, PyModule_AddIntConstant, (PyObject *, const char *, long))                                              \
	X(int, PyModule_AddStringConstant, (PyObject *, const char *, const char *))                                   \
	X(int, PyModule_SetDocString, (PyObject *, const char *))                                                      \
	X(PyObject *, PyModuleDef_Init, (PyModuleDef *))                                                               \
	X(PyObject *, PyCFunction_NewEx, (PyMethodDef *, PyObject *, PyObject *))                                      \
	X(PyObject *, PyImport_Import, (PyObject *))                                                                   \
	X(PyObject *, PyImport_ImportModule, (const char *))                                                           \
	X(PyObject *, PyImport_AddModule, (const char *))                                                              \
	X(PyObject *, PyImport_GetModule, (PyObject *))                                                                \
	X(PyObject *, PyImport_GetModuleDict, (void))                                                                  \
	X(int, PyImport_AppendInittab, (const char *, PyObject *(*)(void)))                                            \
	X(PyObject *, PyImport_ExecCodeModule, (const char *, PyObject *))                                             \
	X(PyObject *, PyImport_ExecCodeModuleEx, (const char *, PyObject *, const char *))                             \
	X(PyObject *, PyImport_ExecCodeModuleObject, (PyObject *, PyObject *, PyObject *, PyObject *))                 \
	X(PyObject *, Py_CompileStringExFlags, (const char *, const char *, int, PyCompilerFlags *, int))              \
	X(int, PyRun_SimpleStringFlags, (const char *, PyCompilerFlags *))                                             \
	/* sys, files, capsules, contexts */                                                                           \
	X(PyObject *, PySys_GetObject, (const char *))                                                                 \
	X(int, PySys_SetObject, (const char *, PyObject *))                                                            \
	X(void, PySys_WriteStderr, (const char *, ...))                                                                \
	X(int, PyFile_WriteObject, (PyObject *, PyObject *, int))                                                      \
	X(int, PyFile_WriteString, (const char *, PyObject *))                                                         \
	X(PyObject *, PyCapsule_New, (void *, const char *, void (*)(PyObject *)))                                     \
	X(void *, PyCapsule_GetPointer, (PyObject *, const char *))                                                    \
	X(void *, PyCapsule_Import, (const char *, int))                                                               \
	X(int, PyCapsule_IsValid, (PyObject *, const char *))                                                          \
	X(PyObject *, PyContext_New, (void))                                                                           \
	X(PyObject *, PyContext_CopyCurrent, (void))                                                                   \
	X(int, PyContext_Enter, (PyObject *))                                                                          \
	X(int, PyContext_Exit, (PyObject *))                                                                           \
	X(PyObject *, PyWeakref_NewRef, (PyObject *, PyObject *))                                                      \
	X(PyObject *, PySlice_New, (PyObject *, PyObject *, PyObject *))                                               \
	X(PyObject *, PyMethod_New, (PyObject *, PyObject *))                                                          \
	X(PyObject *, PyCallIter_New, (PyObject *, PyObject *))                                                        \
	X(int, PyArg_UnpackTuple, (PyObject *, const char *, Py_ssize_t, Py_ssize_t, ...))

/*
 * Functions that parse a "#" length: mandatory, but the loader prefers the symbol _<name>_SizeT, because up to 3.12 the
 * plain one takes int lengths (or refuses "#"); 3.13 made the two equal. Call sites just pass Py_ssize_t.
 */
#define GW_PYAPI_SIZET(X)                                                                                              \
	X(int, PyArg_ParseTuple, (PyObject *, const char *, ...))                                                      \
	X(int, PyArg_ParseTupleAndKeywords, (PyObject *, PyObject *, const char *, GW_KWLIST, ...))                    \
	X(PyObject *, Py_BuildValue, (const char *, ...))                                                              \
	X(PyObject *, PyObject_CallFunction, (PyObject *, const char *, ...))                                          \
	X(PyObject *, PyObject_CallMethod, (PyObject *, const char *, const char *, ...))

/*
 * Optional functions: NULL where the running Python has none. Call them through shim_compat.h, which has the fallback
 * and says from which version it is not needed; or test for NULL.
 */
#define GW_PYAPI_OPTIONAL(X)                                                                                           \
	/* 3.9 */                                                                                                      \
	X(PyInterpreterState *, PyInterpreterState_Get, (void))                                                        \
	X(PyInterpreterState *, PyThreadState_GetInterpreter, (PyThreadState *))                                       \
	X(PyObject *, PyObject_VectorcallDict, (PyObject *, PyObject *const *, size_t, PyObject *))                    \
	X(PyObject *, PyObject_VectorcallMethod, (PyObject *, PyObject *const *, size_t, PyObject *))                  \
	X(PyObject *, PyObject_CallNoArgs, (PyObject *))                                                               \
	/* 3.10 */                                                                                                     \
	X(int, PyErr_SetInterruptEx, (int))                                                                            \
	X(int, PyModule_AddObjectRef, (PyObject *, const char *, PyObject *))                                          \
	/* exported from 3.11, an inline function before */                                                            \
	X(PyObject *, PyObject_Vectorcall, (PyObject *, PyObject *const *, size_t, PyObject *))                        \
	X(PyObject *, PyObject_CallOneArg, (PyObject *, PyObject *))                                                   \
	/* 3.12 */                                                                                                     \
	X(PyObject *, PyErr_GetRaisedException, (void))                                                                \
	X(void, PyErr_SetRaisedException, (PyObject *))                                                                \
	/* 3.13 */                                                                                                     \
	X(int, Py_IsFinalizing, (void))                                                                                \
	X(PyThreadState *, PyThreadState_GetUnchecked, (void))                                                         \
	X(int, PyObject_GetOptionalAttr, (PyObject *, PyObject *, PyObject **))                                        \
	X(int, PyDict_GetItemRef, (PyObject *, PyObject *, PyObject **))                                               \
	X(int, PyDict_SetDefaultRef, (PyObject *, PyObject *, PyObject *, PyObject **))                                \
	X(PyObject *, PyList_GetItemRef, (PyObject *, Py_ssize_t))                                                     \
	/* 3.14 */                                                                                                     \
	X(PyTypeObject *, Py_TYPE, (PyObject *))                                                                       \
	X(PyInitConfig *, PyInitConfig_Create, (void))                                                                 \
	X(void, PyInitConfig_Free, (PyInitConfig *))                                                                   \
	X(int, PyInitConfig_GetError, (PyInitConfig *, const char **))                                                 \
	X(int, PyInitConfig_GetExitCode, (PyInitConfig *, int *))                                                      \
	X(int, PyInitConfig_SetInt, (PyInitConfig *, const char *, int64_t))                                           \
	X(int, PyInitConfig_SetStr, (PyInitConfig *, const char *, const char *))                                      \
	X(int, PyInitConfig_SetStrList, (PyInitConfig *, const char *, size_t, char *const *))                         \
	X(int, PyInitConfig_AddModule, (PyInitConfig *, const char *, PyObject *(*)(void)))                            \
	X(int, Py_InitializeFromInitConfig, (PyInitConfig *))                                                          \
	/* free-threaded builds only, 3.13 */                                                                          \
	X(int, PyUnstable_Module_SetGIL, (PyObject *, void *))                                                         \
	/* deprecated or private; a later Python may drop them, and what replaces them is above */                     \
	X(void, Py_SetProgramName, (const wchar_t *))                                                                  \
	X(PyInterpreterState *, _PyInterpreterState_Get, (void)) /* 3.8 only */                                        \
	X(PyThreadState *, _PyThreadState_UncheckedGet, (void))  /* 3.8 to 3.12 */                                      \
	X(PyObject *, _PyObject_FastCallDict, (PyObject *, PyObject *const *, size_t, PyObject *))                     \
	X(int, _Py_IsFinalizing, (void))                         /* 3.8 to 3.12 */

/* Types (struct objects): py.PyBytes_Type is a PyTypeObject *, where Python.h writes &PyBytes_Type. */
#define GW_PYAPI_TYPES(X)                                                                                              \
	X(PyBaseObject_Type)                                                                                           \
	X(PyBool_Type)                                                                                                 \
	X(PyByteArray_Type)                                                                                            \
	X(PyBytes_Type)                                                                                                \
	X(PyCFunction_Type)                                                                                            \
	X(PyDict_Type)                                                                                                 \
	X(PyFloat_Type)                                                                                                \
	X(PyFunction_Type)                                                                                             \
	X(PyGen_Type)                                                                                                  \
	X(PyList_Type)                                                                                                 \
	X(PyLong_Type)                                                                                                 \
	X(PyMemoryView_Type)                                                                                           \
	X(PyMethod_Type)                                                                                               \
	X(PyModule_Type)                                                                                               \
	X(PySet_Type)                                                                                                  \
	X(PyTuple_Type)                                                                                                \
	X(PyType_Type)                                                                                                 \
	X(PyUnicode_Type)

/* Singletons: py._Py_NoneStruct is a PyObject *; use Py_None and its like below. Immortal or not, never released. */
#define GW_PYAPI_SINGLETONS(X)                                                                                         \
	X(_Py_NoneStruct)                                                                                              \
	X(_Py_TrueStruct)                                                                                              \
	X(_Py_FalseStruct)                                                                                             \
	X(_Py_NotImplementedStruct)                                                                                    \
	X(_Py_EllipsisObject)

/* Exceptions: PyObject * variables in Python; the table holds their value. Borrowed. */
#define GW_PYAPI_EXCEPTIONS(X)                                                                                         \
	X(PyExc_AssertionError)                                                                                        \
	X(PyExc_AttributeError)                                                                                        \
	X(PyExc_BaseException)                                                                                         \
	X(PyExc_BlockingIOError)                                                                                       \
	X(PyExc_BrokenPipeError)                                                                                       \
	X(PyExc_BufferError)                                                                                           \
	X(PyExc_ConnectionError)                                                                                       \
	X(PyExc_ConnectionResetError)                                                                                  \
	X(PyExc_DeprecationWarning)                                                                                    \
	X(PyExc_EOFError)                                                                                              \
	X(PyExc_Exception)                                                                                             \
	X(PyExc_FileNotFoundError)                                                                                     \
	X(PyExc_GeneratorExit)                                                                                         \
	X(PyExc_ImportError)                                                                                           \
	X(PyExc_IndexError)                                                                                            \
	X(PyExc_InterruptedError)                                                                                      \
	X(PyExc_KeyError)                                                                                              \
	X(PyExc_KeyboardInterrupt)                                                                                     \
	X(PyExc_LookupError)                                                                                           \
	X(PyExc_MemoryError)                                                                                           \
	X(PyExc_ModuleNotFoundError)                                                                                   \
	X(PyExc_NameError)                                                                                             \
	X(PyExc_NotImplementedError)                                                                                   \
	X(PyExc_OSError)                                                                                               \
	X(PyExc_OverflowError)                                                                                         \
	X(PyExc_ResourceWarning)                                                                                       \
	X(PyExc_RuntimeError)                                                                                          \
	X(PyExc_RuntimeWarning)                                                                                        \
	X(PyExc_StopIteration)                                                                                         \
	X(PyExc_SyntaxError)                                                                                           \
	X(PyExc_SystemError)                                                                                           \
	X(PyExc_SystemExit)                                                                                            \
	X(PyExc_TimeoutError)                                                                                          \
	X(PyExc_TypeError)                                                                                             \
	X(PyExc_UnicodeDecodeError)                                                                                    \
	X(PyExc_UnicodeEncodeError)                                                                                    \
	X(PyExc_UnicodeError)                                                                                          \
	X(PyExc_UserWarning)                                                                                           \
	X(PyExc_ValueError)

/* Plain int variables; the pointer is NULL where Python has none. Py_UTF8Mode must be set before initialising. */
#define GW_PYAPI_INTS(X)                                                                                               \
	X(Py_UTF8Mode)                                                                                                 \
	X(Py_IgnoreEnvironmentFlag)

/* PyArg_ParseTupleAndKeywords took char **, and from 3.13 takes char *const *: the same call for us. */
#ifdef GW_PYAPI_CHECK
#if PY_VERSION_HEX < 0x030D0000
#define GW_KWLIST char **
#else
#define GW_KWLIST char *const *
#endif
#else
#define GW_KWLIST char **

typedef struct gw_pyapi {
#define GW_X(ret, name, args) ret(*name) args;
	GW_PYAPI_FUNCS(GW_X)
	GW_PYAPI_SIZET(GW_X)
	GW_PYAPI_OPTIONAL(GW_X)
#undef GW_X
#define GW_X(name) PyTypeObject *name;
	GW_PYAPI_TYPES(GW_X)
#undef GW_X
#define GW_X(name) PyObject *name;
	GW_PYAPI_SINGLETONS(GW_X)
	GW_PYAPI_EXCEPTIONS(GW_X)
#undef GW_X
#define GW_X(name) int *name;
	GW_PYAPI_INTS(GW_X)
#undef GW_X
} gw_pyapi;

/* The table. Zero until gw_pyapi_load succeeded. */
extern gw_pyapi gw_py_api;
#define py gw_py_api

#define Py_None (py._Py_NoneStruct)
#define Py_True (py._Py_TrueStruct)
#define Py_False (py._Py_FalseStruct)
#define Py_NotImplemented (py._Py_NotImplementedStruct)
#define Py_Ellipsis (py._Py_EllipsisObject)

/* Version of the running Python, as PY_VERSION_HEX: 0x030B07F0 is 3.11.7 final. 0 until loaded. */
extern unsigned long gw_py_version;

/* Bytes of an object head (16, or 32 on a free-threaded build). 0 until gw_pyapi_ready. */
extern size_t gw_py_head_size;

/* 1 on a free-threaded build (3.13t and later), even when its GIL is switched on; else 0. */
extern int gw_py_free_threaded;

/*
 * Fills the table from dl_handle (NULL: from everything the process has loaded).
 * 0, or -1 with one sentence in err (a missing mandatory function, a Python below 3.8, no Python at all).
 * err: caller's, errlen bytes. GIL: not needed. Blocks: no. A failed load leaves the table zero.
 */
int gw_pyapi_load(void *dl_handle, char *err, size_t errlen);

/*
 * Once Python is initialised: finds the head's size, reads the exception variables again.
 * 0, or -1 with one sentence in err and no Python exception set. GIL: held. Blocks: no.
 */
int gw_pyapi_ready(char *err, size_t errlen);

#endif /* GW_PYAPI_CHECK */
#endif
