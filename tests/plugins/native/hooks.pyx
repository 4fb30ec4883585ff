# cython: language_level=3
"""Hooks in Cython: the shared object brings an interpreter of its own into the gateway."""

from libc.stdlib cimport malloc
from libc.string cimport memcpy

cdef extern from "coproc.h":
    struct CoProcessMessage:
        void* p_data
        int length
    void TykTriggerEvent(char* event_name, char* payload)
    void CoProcessLog(char* msg, char* level)

cdef extern from *:
    """
    PyMODINIT_FUNC PyInit_hooks(void);

    int CoProcessInit(void)
    {
        PyObject *module;
        if (PyImport_AppendInittab("hooks", PyInit_hooks) != 0)
            return 1;
        Py_InitializeEx(0);
        module = PyImport_ImportModule("hooks");
        if (!module) {
            PyErr_Print();
            return 2;
        }
        PyEval_SaveThread();
        return 0;
    }
    """


def call():
    event_name = 'HostDown'.encode('utf-8')
    payload = 'from Cython'.encode('utf-8')
    TykTriggerEvent(event_name, payload)


def dispatch(object):
    if b'\x12\x06Raises' in object:
        raise ValueError('as asked')
    call()
    entry = b'\x0a\x08X-Native' + b'\x12\x0bfrom Cython'
    fields = b'\x12' + bytes([len(entry)]) + entry
    return object + b'\x1a' + bytes([len(fields)]) + fields


cdef public CoProcessMessage CoProcessDispatch(CoProcessMessage object) noexcept with gil:
    cdef CoProcessMessage reply
    cdef bytes returned
    reply.p_data = NULL
    reply.length = 0
    try:
        returned = dispatch((<char*>object.p_data)[:object.length])
        reply.length = len(returned)
        reply.p_data = malloc(len(returned))
        memcpy(reply.p_data, <char*>returned, len(returned))
    except Exception as error:
        line = repr(error).encode('utf-8')
        CoProcessLog(line, "error")
    return reply


cdef public void CoProcessDispatchEvent(char* event_json) noexcept with gil:
    line = b'heard ' + event_json
    CoProcessLog(line, "info")
