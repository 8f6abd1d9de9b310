package master

// What a worker was at when it died, or does not answer: it keeps that in memory which the master has, too.

import (
	"fmt"
	"strings"

	"github.com/gowsgi/gowsgi/internal/inflight"
)

// Table shows the requests that the worker runs to the master.
func (l *Link) Table(t *inflight.Table) { l.tellWith(wordTable, t.File()) }

// mostNamed is how many requests a record of the log names.
const mostNamed = 20

// atWork is what the log says of the requests that w runs, or ran.
func (m *Master) atWork(w *worker) (about []any) {
	if w.table == nil {
		return nil
	}
	running, suspended := inflight.Read(w.table)
	var named []string
	for i, r := range running {
		if i == mostNamed {
			named = append(named, fmt.Sprintf("and %d more", len(running)-i))
			break
		}
		from := ""
		if r.Client != "" {
			from = " from " + r.Client
		}
		named = append(named, fmt.Sprintf("%s%s for %.1f s", r.Line, from, max(0, m.now().Sub(r.Since).Seconds())))
	}
	if named != nil {
		about = append(about, "running", strings.Join(named, ", "))
	}
	if suspended > 0 {
		about = append(about, "suspended", suspended)
	}
	return about
}
