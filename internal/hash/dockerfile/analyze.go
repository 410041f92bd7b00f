package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// ErrSyntax says that BuildKit's parser does not take the Dockerfile, or that
// its own "# syntax" line hands it to a frontend that is not BuildKit's.
var ErrSyntax = errors.New("the Dockerfile is not understood")

type analysis struct {
	options Options
	lex     *shell.Lex
	global  environment
	stages  []*stage
	recipe  Recipe
}

// Analyze returns what a build of the target takes from outside.
func Analyze(contents []byte, options Options) (*Recipe, error) {
	if syntax, _, _, found := parser.DetectSyntax(contents); found && !isOwnFrontend(syntax) {
		return nil, fmt.Errorf("%w: it is for the frontend %s", ErrSyntax, syntax)
	}
	parsed, err := parser.Parse(bytes.NewReader(contents))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	stages, arguments, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if len(stages) == 0 {
		return nil, fmt.Errorf("%w: it has no FROM", ErrSyntax)
	}
	a := &analysis{options: options, lex: shell.NewLex(parsed.EscapeToken)}
	if err := a.run(stages, arguments); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return &a.recipe, nil
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
	target := a.options.Target
	if target == "" {
		target = stages[len(stages)-1].Name
	}
	a.global = platformArguments(a.options.Platform, target, a.options.Args)
	for _, command := range arguments {
		if err := a.globalArgument(command); err != nil {
			return fmt.Errorf("line %d: %w", lineOf(command.Location()), err)
		}
	}
	if err := a.linkStages(stages); err != nil {
		return err
	}
	built := a.stages[len(a.stages)-1]
	if a.options.Target != "" {
		if built = a.origin(a.options.Target).stage; built == nil {
			return fmt.Errorf("target %q is no stage", a.options.Target)
		}
	}
	built.reach()
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
		if !given {
			if argument.Value == nil {
				continue
			}
			expanded, err := a.lex.ProcessWordWithMatches(*argument.Value, a.global)
			if err != nil {
				return err
			}
			value = expanded.Result
		}
		a.global[argument.Key] = variable{value: value, known: true}
	}
	return nil
}

// walk goes through the commands of one stage. Its base was walked before.
func (a *analysis) walk(s *stage) error {
	s.end = environment{}
	switch {
	case s.base != nil:
		if s.base.end == nil {
			return fmt.Errorf("line %d: stage %s starts from itself", s.line, s.BaseName)
		}
		s.end, s.foreign = s.base.end.clone(), s.base.foreign
	case s.BaseName != noImage:
		s.foreign = true
		a.from(s)
	}
	for _, command := range s.commands {
		if err := a.command(s, command); err != nil {
			return fmt.Errorf("line %d: %w", lineOf(command.Location()), err)
		}
	}
	return nil
}

// from notes the base of a stage that is not a stage.
func (a *analysis) from(s *stage) {
	if o, found := a.context(s.BaseName); found {
		a.take(o, s.line, s.platform)
		return
	}
	a.take(origin{image: s.BaseName}, s.line, s.platform)
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
