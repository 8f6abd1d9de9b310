package server

// What gowsgi.server says beside the options, which are those of the command line.

import (
	"encoding/json"
	"strings"
)

// toldPrefix begins its names in the object of options; no option has a dot.
const toldPrefix = "gowsgi."

type told struct {
	Listen bool   // false: there is nothing to listen on, and the server ends when nothing of it is left to be done
	Like   string // "meinheld": see config.Config
	Log    string // a file that gets the server's own records, as JSON, in the place of the error log
	Worker *worker
}

// takeTold takes it out of the options.
func takeTold(options string) (string, told, error) {
	a := told{Listen: true}
	if !strings.Contains(options, `"`+toldPrefix) {
		return options, a, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(options), &all); err != nil {
		return options, a, nil // FromJSON has the words for it
	}
	mine := map[string]json.RawMessage{}
	for name, value := range all {
		if rest, is := strings.CutPrefix(name, toldPrefix); is {
			mine[rest] = value
			delete(all, name)
		}
	}
	text, err := json.Marshal(mine)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		return "", a, err
	}
	text, err = json.Marshal(all)
	return string(text), a, err
}
