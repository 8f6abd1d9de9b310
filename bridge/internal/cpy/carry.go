package cpy

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"embed"
	"reflect"
	"strings"
	"unsafe"
)

// Carry gives Python these files, for _gowsgi.carried. Before Start.
func Carry(files embed.FS) {
	list := embedded(files)
	names := make([]string, len(list))
	for i, file := range list {
		names[i] = file.name
	}
	text := strings.Join(names, "\n")
	table := unsafe.Slice((*C.gw_carried)(C.calloc(C.size_t(len(list)+1), C.sizeof_gw_carried)), len(list)+1)
	for i, file := range list {
		table[i] = C.gw_carried{
			name: (*C.char)(unsafe.Pointer(unsafe.StringData(file.name))), name_len: C.size_t(len(file.name)),
			data: (*C.char)(unsafe.Pointer(unsafe.StringData(file.data))), data_len: C.size_t(len(file.data)),
		}
	}
	table[len(list)] = C.gw_carried{data: C.CString(text), data_len: C.size_t(len(text))}
	C.gw_carry(&table[0], C.size_t(len(table)))
}

type embeddedFile struct{ name, data string }

// embedded lists the files where they are in the program. FS reads copies only, which would cost every start, and whoever
// asked for one when it is needed could be a forked process. The compiler knows the layout of an FS, so it lasts;
// carry_test.go compares what is found.
func embedded(files embed.FS) (list []embeddedFile) {
	all := reflect.ValueOf(files).FieldByName("files").Elem()
	for i := 0; i < all.Len(); i++ {
		file := all.Index(i)
		list = append(list, embeddedFile{file.FieldByName("name").String(), file.FieldByName("data").String()})
	}
	return list
}
