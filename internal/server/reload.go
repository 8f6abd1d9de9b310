package server

import (
	"time"

	"github.com/gowsgi/gowsgi/bridge"
	"github.com/gowsgi/gowsgi/internal/master"
	"github.com/gowsgi/gowsgi/internal/watch"
)

// tellFilesEvery is how often a worker looks, with --reload, whether the application has loaded more.
const tellFilesEvery = time.Second

// tellFiles has the master watch what the application loads when it has been loaded itself, until the server has stopped.
func (s *Server) tellFiles(link *master.Link) {
	tick := time.NewTicker(tellFilesEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stopped:
			return
		case <-tick.C:
			s.tellNewFiles(link)
		}
	}
}

func (s *Server) tellNewFiles(link *master.Link) {
	files, err := bridge.ModuleFiles()
	if err != nil {
		s.log.Debug("which files are loaded is not known", "error", err)
	}
	for _, path := range files {
		link.Watch(path, watch.StampOf(path))
	}
}
