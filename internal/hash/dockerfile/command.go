package dockerfile

import (
	"path"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// command notes what one command takes, and what it does to the variables.
func (a *analysis) command(s *stage, command instructions.Command) error {
	switch c := command.(type) {
	case *instructions.ArgCommand:
		return a.argument(s, c)
	case *instructions.EnvCommand:
		return a.env(s, c)
	case *instructions.CopyCommand:
		return a.copy(s, c)
	case *instructions.AddCommand:
		return a.add(s, c)
	case *instructions.RunCommand:
		return a.runMounts(s, c)
	}
	return nil
}

// expand replaces variables; known is false where one may be another in the build.
func (a *analysis) expand(s *stage, word string) (text string, known bool, err error) {
	result, err := a.lex.ProcessWordWithMatches(word, s.end)
	if err != nil {
		return "", false, err
	}
	known = !s.foreign || len(result.Unmatched) == 0
	for name := range result.Matched {
		known = known && s.end[name].known
	}
	return result.Result, known, nil
}

// argument is ARG in a stage. BuildKit lets the later of ARG and ENV win. In
// buildah and docker's classic builder ENV always wins, also that of a base
// image: where it may, the value is not known. Nor is that of an automatic
// argument with a default, which buildah ignores from version 1.37 on.
func (a *analysis) argument(s *stage, c *instructions.ArgCommand) error {
	line := lineOf(c.Location())
	for _, argument := range c.Args {
		a.use(argument.Key, line)
		next := variable{known: true}
		given, isGiven := a.options.Args[argument.Key]
		global, isGlobal := a.global[argument.Key]
		switch {
		case isGiven:
			next.value = given
		case argument.Value != nil:
			var err error
			if next.value, next.known, err = a.value(s, *argument.Value); err != nil {
				return err
			}
			next.known = next.known && !isAutomatic(argument.Key)
		case isGlobal:
			next = global
		default:
			continue
		}
		before, found := s.end[argument.Key]
		if found && before.env && before.value != next.value || s.foreign && !before.env && !next.automatic {
			next.known = false
		}
		s.end[argument.Key] = next
	}
	return nil
}

func (a *analysis) env(s *stage, c *instructions.EnvCommand) error {
	next := make([]variable, len(c.Env)) // all values of one ENV see the variables before it
	for i, pair := range c.Env {
		value, known, err := a.value(s, pair.Value)
		if err != nil {
			return err
		}
		next[i] = variable{value: value, known: known, env: true}
	}
	for i, pair := range c.Env {
		s.end[pair.Key] = next[i]
	}
	return nil
}

// value expands what a variable is set to. It is not known where it depends on
// an automatic argument, which some builders leave empty.
func (a *analysis) value(s *stage, word string) (text string, known bool, err error) {
	result, err := a.lex.ProcessWordWithMatches(word, s.end)
	if err != nil {
		return "", false, err
	}
	text, known, err = a.expand(s, word)
	for name := range result.Matched {
		known = known && !s.end[name].automatic
	}
	return text, known, err
}

func (a *analysis) copy(s *stage, c *instructions.CopyCommand) error {
	line := lineOf(c.Location())
	contexts := a.contextsOf(c.From, line)
	if len(contexts) == 0 {
		return nil
	}
	exclude, err := a.patterns(s, c.ExcludePatterns)
	if err != nil {
		return err
	}
	for _, written := range c.SourcePaths {
		texts, err := a.spellings(s, written)
		if err != nil {
			return err
		}
		for i, text := range texts {
			source := sourceOf(text, c.Parents)
			source.Exclude, source.Optional = exclude, i > 0
			a.takeSource(source, contexts, line)
		}
		if texts == nil {
			a.takeSource(Source{Path: "."}, contexts, line)
		}
	}
	return nil
}

// spellings are what a builder may read of a word: first as BuildKit reads it,
// then as a builder without automatic arguments does. nil is anything.
func (a *analysis) spellings(s *stage, word string) ([]string, error) {
	text, known, err := a.expand(s, word)
	if err != nil || !known {
		return nil, err
	}
	texts := []string{text}
	without := s.end.withoutAutomatic()
	if without == nil {
		return texts, nil
	}
	other, _, err := a.expand(&stage{end: without, foreign: s.foreign}, word)
	if err == nil && other != text {
		texts = append(texts, other)
	}
	return texts, nil
}

// contextsOf returns the contexts that a name of --from takes files of, where
// "" is the build context, and records the images and remotes that the name stands for.
func (a *analysis) contextsOf(from string, line int) []string {
	if from == "" {
		return []string{""}
	}
	var contexts []string
	for _, o := range a.origins(from) {
		if o.context != "" {
			contexts = append(contexts, o.context)
			continue
		}
		a.take(o, line, "")
	}
	return contexts
}

// takeSource notes one source in each context that it may be taken from.
func (a *analysis) takeSource(source Source, contexts []string, line int) {
	source.Line = line
	for _, context := range contexts {
		source.Context = context
		a.recipe.Sources = append(a.recipe.Sources, source)
	}
}

func (a *analysis) add(s *stage, c *instructions.AddCommand) error {
	line := lineOf(c.Location())
	exclude, err := a.patterns(s, c.ExcludePatterns)
	if err != nil {
		return err
	}
	checksum, checksumKnown, err := a.expand(s, c.Checksum)
	if err != nil {
		return err
	}
	pinned := checksum != "" && checksumKnown
	for _, written := range c.SourcePaths {
		text, known, err := a.expand(s, written)
		if err != nil {
			return err
		}
		if remote, isRemote := remoteOf(text); isRemote {
			remote.Line = line
			remote.Pinned = known && remote.Pinned || pinned
			a.recipe.Remotes = append(a.recipe.Remotes, remote)
			continue
		}
		if !known { // it may be a URL as well
			a.recipe.Remotes = append(a.recipe.Remotes, Remote{URL: written, Pinned: pinned, Line: line})
			a.takeSource(Source{Path: "."}, []string{""}, line)
			continue
		}
		texts, err := a.spellings(s, written)
		if err != nil {
			return err
		}
		for i, text := range texts {
			source := sourceOf(text, false)
			source.Exclude, source.Optional = exclude, i > 0
			a.takeSource(source, []string{""}, line)
		}
	}
	return nil
}

// runMounts notes the bind mounts of RUN: https://docs.docker.com/reference/dockerfile/#run---mounttypebind
func (a *analysis) runMounts(s *stage, c *instructions.RunCommand) error {
	line, known := lineOf(c.Location()), true
	err := c.Expand(func(word string) (string, error) {
		text, ok, err := a.expand(s, word)
		known = known && ok
		return text, err
	})
	if err != nil {
		return err
	}
	for _, mount := range instructions.GetMounts(c) {
		if mount.From == "" && mount.Type != instructions.MountTypeBind {
			continue
		}
		source := Source{Path: ".", Mount: true}
		if known {
			source.Path = clean(mount.Source)
		}
		a.takeSource(source, a.contextsOf(mount.From, line), line)
	}
	return nil
}

// patterns expands the patterns of --exclude. One that is not known excludes nothing.
func (a *analysis) patterns(s *stage, written []string) ([]string, error) {
	var patterns []string
	for _, pattern := range written {
		text, known, err := a.expand(s, pattern)
		if err != nil {
			return nil, err
		}
		if known {
			patterns = append(patterns, text)
		}
	}
	return patterns, nil
}

// sourceOf reads one source of COPY or ADD. With --parents, what stands
// behind "/./", or all of it, is a pattern below what stands before.
func sourceOf(written string, parents bool) Source {
	folder, pattern, found := strings.Cut(written, "/./")
	switch {
	case !parents:
		folder, pattern = written, ""
	case !found:
		folder, pattern = "/", written
	}
	source := Source{Path: clean(folder)}
	source.Wildcards = HasWildcards(source.Path)
	if parents {
		source.Include = clean(pattern)
	}
	return source
}

// clean makes a path relative to the context's top, which ".." does not leave.
func clean(written string) string {
	cleaned := strings.TrimPrefix(path.Join("/", written), "/")
	if cleaned == "" {
		return "."
	}
	return cleaned
}

// HasWildcards reports whether BuildKit takes a source for a pattern.
func HasWildcards(name string) bool {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '*', '?', '[':
			return true
		case '\\':
			i++
		}
	}
	return false
}

var (
	// remotePattern is a URL, or SSH's user@host:path, as BuildKit tells them from paths:
	// https://docs.docker.com/reference/dockerfile/#add
	remotePattern = regexp.MustCompile(`^(?:(?:https?|git|ssh)://|[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:)`)
	// gitPattern is a remote that is a Git repository, and not a file.
	gitPattern = regexp.MustCompile(`^(?:git|ssh)://|^[A-Za-z0-9_-]+@|\.git(?:[#?]|$)`)
	// commitPattern is a Git reference that names its content.
	commitPattern = regexp.MustCompile(`[#&?](?:ref=|commit=|checksum=)?[0-9a-f]{40}(?:[:&]|$)`)
)

// remoteOf tells a URL or a Git repository from a path.
func remoteOf(written string) (Remote, bool) {
	if !remotePattern.MatchString(written) {
		return Remote{}, false
	}
	return Remote{URL: written, Pinned: gitPattern.MatchString(written) && commitPattern.MatchString(written)}, true
}
