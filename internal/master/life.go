package master

// What the process that workers are forked from is told for the hooks of a configuration file (python/gowsgi/_zygote_life.py).

// Life is what hooks see of the server.
type Life struct {
	Master    int            `json:"master"`    // its pid
	App       string         `json:"app"`       // as it is named
	Addresses []string       `json:"addresses"` // of the listeners, as URLs
	Settings  map[string]any `json:"settings"`  // gunicorn's, as far as they come from elsewhere than the file
	Workers   int            `json:"workers"`   // how many there are to be
	Before    *int           `json:"before"`    // how many there were; nil: the server starts
	Age       int            `json:"age"`       // of the last worker
	Reload    bool           `json:"reload"`    // it does not start
}
