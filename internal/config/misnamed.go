package config

import "fmt"

// What looks like a setting in a configuration file and is none. gunicorn says nothing of it, as other names are the file's own.
// A name of the file's own is near a setting now and then, so it is told of only where that setting is not in the file, and
// nothing is refused.

// shortest is the length from which on a name that is a little different is a mistake.
const shortest = 6

// misnamed has a sentence for each name that is to be another one, in their order.
func (f *fileSettings) misnamed() (remarks []string) {
	given := map[string]bool{}
	for name := range f.Settings {
		given[name] = true
	}
	for name := range f.Own {
		given[ownPrefix+name] = true
	}
	for _, name := range f.Hooks {
		given[name] = true
	}
	for _, name := range sortedKeys(f.Others) {
		if meant := meantBy(name, f.Others[name] == "function"); meant != "" && !given[meant] {
			remarks = append(remarks, fmt.Sprintf("%s: %s is no setting, so it does nothing: is %s meant?", f.place(name), name, meant))
		}
	}
	return remarks
}

// meantBy is the setting or hook that is probably meant, "" for none.
func meantBy(name string, function bool) string {
	if len(name) < shortest {
		return ""
	}
	if function {
		return oneStepFrom(name, hooksOfGunicorn)
	}
	o := keywords[name]
	switch {
	case o == nil:
		return oneStepFrom(name, namesOfGunicorn)
	case ofGunicorns(o.Name): // as on the command line: log_level
		return o.Name
	case o.CLIOnly && o.Group != GroupWorkers:
		return ""
	}
	return ownPrefix + o.Name
}

func oneStepFrom(name string, names []string) string {
	for _, other := range names {
		if len(other) >= shortest && editDistance(name, other) == 1 {
			return other
		}
	}
	return ""
}
