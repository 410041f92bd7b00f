package dockerfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// ErrSyntax says that BuildKit's parser refuses the Dockerfile, or that a
// "# syntax" line or a build argument hands it to a frontend that is not BuildKit's.
var ErrSyntax = errors.New("the Dockerfile is not understood")

type analysis struct {
	options Options
	lex     *shell.Lex
	global  environment
	stages  []*stage
	recipe  Recipe
}

// syntaxArgument names the frontend as a "# syntax" line does, and wins:
// https://docs.docker.com/reference/dockerfile/#buildkit-built-in-build-args
const syntaxArgument = "BUILDKIT_SYNTAX"

// Analyze returns what a build of the target takes from outside. It analyzes
// the Dockerfile that the reference CLI makes of contents, or contents
// themselves with Options.Direct; lines are those of contents.
func Analyze(contents []byte, options Options) (*Recipe, error) {
	own := 1 // stages that are not the Dockerfile's
	if options.Direct {
		contents, own = moved(contents), 0
	} else {
		contents = Built(contents, options.Target)
	}
	syntax, _, _, found := parser.DetectSyntax(contents)
	if given := options.Args[syntaxArgument]; given != "" {
		syntax, found = given, true
	}
	if found && !isOwnFrontend(syntax) {
		return nil, fmt.Errorf("%w: it is for the frontend %s", ErrSyntax, syntax)
	}
	parsed, err := parser.Parse(bytes.NewReader(contents))
	if err != nil {
		return nil, syntaxError(err)
	}
	stages, arguments, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, syntaxError(err)
	}
	if len(stages) <= own {
		return nil, fmt.Errorf("%w: it has no FROM", ErrSyntax)
	}
	a := &analysis{options: options, lex: shell.NewLex(parsed.EscapeToken)}
	if err := a.run(stages, arguments); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if options.Direct {
		return &a.recipe, nil
	}
	if err := a.inspected(stages, arguments); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return &a.recipe, nil
}

// inspected adds the image that the reference CLI takes for the base where the
// builder's command line makes it another one. The CLI reads its user and its
// metadata.
func (a *analysis) inspected(stages []instructions.Stage, arguments []instructions.ArgCommand) error {
	o := a.options
	o.Args, o.Contexts = o.ConfiguredArgs, nil
	cli := &analysis{options: o, lex: a.lex, global: automaticArguments(o, BuiltStage)}
	for _, command := range arguments {
		if err := cli.globalArgument(command); err != nil {
			return err
		}
	}
	if err := cli.linkStages(stages); err != nil {
		return nil //nolint:nilerr // without the arguments of the command line it names no image
	}
	s := cli.stages[len(cli.stages)-1]
	for s.base != nil {
		s = s.base
	}
	for _, o := range s.from {
		image := Image{Reference: o.image, Platform: s.platform, Line: s.line}
		if o.image != "" &&
			!slices.ContainsFunc(a.recipe.Images, func(i Image) bool { return i.Reference == image.Reference }) {
			a.recipe.Images = append(a.recipe.Images, image)
		}
	}
	return nil
}

// linePattern is how BuildKit's parser names a line.
var linePattern = regexp.MustCompile(`\bline (\d+)`)

// syntaxError is an error of BuildKit's parser with the lines of the Dockerfile
// as it was written.
func syntaxError(err error) error {
	text := linePattern.ReplaceAllStringFunc(err.Error(), func(match string) string {
		line, convertErr := strconv.Atoi(strings.TrimPrefix(match, "line "))
		if convertErr != nil {
			return match
		}
		return fmt.Sprintf("line %d", max(1, line-prefixLines))
	})
	return fmt.Errorf("%w: %s", ErrSyntax, text)
}

// isOwnFrontend knows BuildKit's by its repository, whatever the tag:
// https://docs.docker.com/build/buildkit/frontend/
func isOwnFrontend(syntax string) bool {
	name, _, _ := strings.Cut(syntax, "@")
	name, _, _ = strings.Cut(name, ":")
	switch strings.TrimPrefix(name, "docker.io/") {
	case "docker/dockerfile", "docker/dockerfile-upstream":
		return true
	}
	return false
}

func (a *analysis) run(stages []instructions.Stage, arguments []instructions.ArgCommand) error {
	target := BuiltStage
	switch {
	case a.options.Direct:
		target = cmp.Or(a.options.Target, defaultTarget)
	case a.options.Untargeted:
		target = defaultTarget
	}
	if a.options.TargetOption != "" {
		target = a.options.TargetOption
	}
	a.global = automaticArguments(a.options, target)
	for _, command := range arguments {
		if err := a.globalArgument(command); err != nil {
			return fmt.Errorf("line %d: %w", lineOf(command.Location()), err)
		}
	}
	if err := a.linkStages(stages); err != nil {
		return err
	}
	target, last := a.options.Target, a.stages[len(a.stages)-1]
	if a.options.TargetOption != "" {
		target, last = a.options.TargetOption, a.stage(a.options.TargetOption)
	} else if a.options.Direct && target != "" {
		last = a.stage(target)
	}
	if last == nil || target != "" && a.stage(target) == nil {
		return fmt.Errorf("target %q is no stage", target)
	}
	last.reach()
	for _, s := range a.stages {
		if !s.reached {
			continue
		}
		if err := a.walk(s); err != nil {
			return err
		}
	}
	return nil
}

// globalArgument is an ARG before the first FROM.
func (a *analysis) globalArgument(command instructions.ArgCommand) error {
	for _, argument := range command.Args {
		value, given := a.options.Args[argument.Key]
		known := true
		if !given {
			if argument.Value == nil {
				continue
			}
			var err error
			if value, known, err = a.expandGlobal(*argument.Value, lineOf(command.Location())); err != nil {
				return err
			}
			known = known && !isAutomatic(argument.Key) && !a.usesAutomatic(*argument.Value)
		}
		a.global[argument.Key] = variable{value: value, known: known}
	}
	return nil
}

// expandGlobal replaces variables before a stage begins; known is false where
// one may have another value in the build.
func (a *analysis) expandGlobal(word string, line int) (text string, known bool, err error) {
	result, err := a.lex.ProcessWordWithMatches(word, a.global)
	if err != nil {
		return "", false, err
	}
	known = true
	for name := range result.Matched {
		a.use(name, line)
		known = known && a.global[name].known
	}
	return result.Result, known, nil
}

// usesAutomatic reports whether a word before the first stage has an automatic
// argument, which some builders leave empty.
func (a *analysis) usesAutomatic(word string) bool {
	result, err := a.lex.ProcessWordWithMatches(word, a.global)
	if err != nil {
		return true
	}
	for name := range result.Matched {
		if a.global[name].automatic {
			return true
		}
	}
	return false
}

// use notes that a variable's value reaches the build.
func (a *analysis) use(name string, line int) {
	_, given := a.options.Args[name]
	_, automatic := platformNames[name]
	if automatic && !given && strings.HasPrefix(name, "BUILD") && !a.recipe.BuildPlatform {
		a.recipe.BuildPlatform, a.recipe.BuildPlatformLine = true, line
	}
}

// walk goes through the commands of one stage. Its base was walked before.
func (a *analysis) walk(s *stage) error {
	s.end = environment{}
	for _, o := range s.from {
		a.take(o, s.line, s.platform)
	}
	s.foreign = len(s.from) > 0
	if s.base != nil {
		if s.base.end == nil {
			return fmt.Errorf("line %d: stage %s starts from itself", s.line, s.BaseName)
		}
		s.end, s.foreign = s.base.end.inherited(), s.foreign || s.base.foreign
	}
	for _, command := range s.commands {
		if err := a.command(s, command); err != nil {
			return fmt.Errorf("line %d: %w", lineOf(command.Location()), err)
		}
	}
	return nil
}

// take notes that something of an origin is used; of a folder, all.
func (a *analysis) take(o origin, line int, platform string) {
	switch {
	case o.image != "":
		a.recipe.Images = append(a.recipe.Images, Image{Reference: o.image, Platform: platform, Line: line})
	case o.remote != "":
		a.recipe.Remotes = append(a.recipe.Remotes, Remote{URL: o.remote, Line: line})
	case o.context != "":
		a.recipe.Sources = append(a.recipe.Sources, Source{Context: o.context, Path: ".", Line: line})
	}
}
