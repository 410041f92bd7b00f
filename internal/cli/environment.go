package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// annotationNoVariable marks flags without a variable: kubectl's flags, except those that a runner sets.
const annotationNoVariable = "imagecache.dev/no-variable"

// variableOf returns the name of the environment variable for a flag.
func variableOf(flag *pflag.Flag) string {
	return "IMAGECACHE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
}

func hasVariable(flag *pflag.Flag) bool {
	_, without := flag.Annotations[annotationNoVariable]
	return !without && flag.Name != "help"
}

// SetFromEnvironment sets flags that are not on the command line from their variables.
func SetFromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(flag *pflag.Flag) {
		value, set := os.LookupEnv(variableOf(flag))
		if !set || value == "" || flag.Changed || !hasVariable(flag) {
			return
		}
		if err := flags.Set(flag.Name, value); err != nil {
			errs = append(
				errs, UsageError("%s=%q is not a valid value of --%s: %v", variableOf(flag), value, flag.Name, errors.Unwrap(err)),
			)
		}
	})
	return errors.Join(errs...)
}

// DescribeEnvironment adds each flag's variable to its help.
func DescribeEnvironment(flags *pflag.FlagSet) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if hasVariable(flag) {
			flag.Usage = fmt.Sprintf("%s [$%s]", flag.Usage, variableOf(flag))
		}
	})
}
