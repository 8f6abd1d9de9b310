package zeromq

import (
	"bytes"
	"sync"
	"syscall"
	"testing"
)

// BenchmarkPushPull tells the CPU that a message takes at both ends.
func BenchmarkPushPull(b *testing.B) {
	var got sync.WaitGroup
	got.Add(b.N)
	pull := New(Pull, Options{Receive: func(Message) { got.Done() }})
	at, err := pull.Bind(anyPort)
	if err != nil {
		b.Fatal(err)
	}
	push := New(Push, Options{})
	if err := push.Connect(at); err != nil {
		b.Fatal(err)
	}
	defer pull.Close(0)
	defer push.Close(0)
	data := bytes.Repeat([]byte("x"), 600)
	b.ReportAllocs()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for range b.N {
		if room, _ := push.Send(data); !room {
			push.Room(nil)
		}
	}
	got.Wait()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
}
