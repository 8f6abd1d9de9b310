package cpy

import "testing"

// What is a panic in Go stays one, with our handler above Go's.
func TestFaultsInGo(t *testing.T) {
	watchCrashes(2)
	var p *int
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			*p = 1
		}()
	}
}
