package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gowsgi/gowsgi/bridge/internal/cpy"
	"github.com/gowsgi/gowsgi/httpparse"
)

// asked is a parsed request for a path.
func asked(t *testing.T, path string) *Request {
	t.Helper()
	head := []byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	p := httpparse.NewParser(httpparse.DefaultLimits())
	if n, err := p.Parse(head); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	return &Request{Head: &p.Request, Arena: head, HasHost: true, FD: -1, Conn: 1}
}

// TestPutAside: a request that is put aside between two steps goes on where it was, whatever its thread ran meanwhile, and two
// of them in any order.
func TestPutAside(t *testing.T) {
	runtime.LockOSThread() // Python's main thread, which ends with the test
	found, err := Locate(os.Getenv("GOWSGI_TEST_PYTHON"), os.Getenv("VIRTUAL_ENV"), "", nil)
	if err != nil {
		t.Skip("no Python: ", err)
	}
	if err := Start(found, []string{"gowsgi"}); err != nil {
		t.Skip("no Python: ", err)
	}
	apps, err := filepath.Abs("../testdata/apps")
	if err != nil {
		t.Fatal(err)
	}
	if err := Setup(PythonSetup{PythonPath: []string{apps}}); err != nil {
		t.Fatal(err)
	}
	if err := LoadApp("aside"); err != nil {
		t.Fatal(err)
	}
	if _, err := AddTemplate(Template{ServerName: "x", ServerPort: "80", Software: "gowsgi", Scheme: "http"}); err != nil {
		t.Fatal(err)
	}
	th, err := NewThread(0, MainState())
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	th.Mark(true)
	check := func(step, want Step, res *Response, text string) {
		t.Helper()
		if step != want || len(res.Pieces()) != 1 || string(res.Pieces()[0].Bytes()) != text {
			t.Fatalf("step %d instead of %d, %d pieces", step, want, len(res.Pieces()))
		}
	}
	var jobs [2]*Job
	var answers [2]*Response
	for i := range jobs {
		step, res := th.Call(asked(t, "/blocks"), nil)
		check(step, More, res, "/blocks0")
		th.Release()
		jobs[i], answers[i] = th.PutAside(), res
	}
	step, res := th.Call(asked(t, "/between"), nil)
	check(step, End, res, "/between")
	th.Release()
	for i, text := range []string{"/blocks1", "/blocks2"} {
		for _, n := range []int{i, 1 - i} {
			th.TakeUp(jobs[n])
			check(th.Next(), More, answers[n], text)
			th.Release()
			jobs[n] = th.PutAside()
		}
	}
	th.TakeUp(jobs[1])
	if step := th.Next(); step != End {
		t.Fatalf("step %d at the end", step)
	}
	th.Release()
	th.TakeUp(jobs[0])
	th.Abandon()
	th.Release()
	if jobs[0].Busy() || jobs[0].gen.Load() != 0 || jobs[1].gen.Load() != 0 {
		t.Fatal("requests are left")
	}

	// Without memory for another job nothing can suspend, and all goes on.
	SetScheduler(noGreenlets{})
	th.Call(asked(t, "/may"), nil)
	th.Release()
	may := func() string {
		_, res := th.Call(asked(t, "/may"), nil)
		defer th.Release()
		return string(res.Pieces()[0].Bytes())
	}
	if got := may(); got != "1 1" {
		t.Log("no greenlets here: ", got)
		return
	}
	defer func(f func(uint32) (*cpy.Job, error)) { newC = f }(newC)
	newC = func(uint32) (*cpy.Job, error) { return nil, errors.New("no memory") }
	for len(free) > 0 {
		j, _ := newJob()
		defer freeJob(j)
	}
	if may() != "1 1" {
		t.Fatal("a thread that has a spare job may suspend")
	}
	th.Call(asked(t, "/blocks"), nil)
	th.Release()
	job := th.PutAside()
	if got := may(); got != "1 0" {
		t.Fatal("there is no job to go on with: ", got)
	}
	th.TakeUp(job)
	th.Abandon()
	th.Release()
	if got := may(); got != "1 1" {
		t.Fatal("the job is there again: ", got)
	}
}

// noGreenlets is a Scheduler that is told so.
type noGreenlets struct{ Scheduler }

func (noGreenlets) NoGreenlets() {}
