package awsemulator_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"imagecache.dev/test/awsemulator"
)

// The AWS SDK talks to the emulator as it talks to AWS. Faults make calls fail, the clock moves as the test asks, and
// the log of calls shows what clients sent.
func Example() {
	ctx := context.Background()
	emulator, err := awsemulator.Start(awsemulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = emulator.Close() }()

	settings, err := config.LoadDefaultConfig(ctx,
		config.WithBaseEndpoint(emulator.URL()),
		config.WithRegion(emulator.Region()),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(
			emulator.AccessKeyID(), emulator.SecretAccessKey(), "")))
	if err != nil {
		log.Fatal(err)
	}
	registry := ecr.NewFromConfig(settings)

	emulator.Faults().Add(awsemulator.Fault{Operation: "ecr:CreateRepository", Code: "ThrottlingException", Next: 1})
	input := &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")}
	if _, err := registry.CreateRepository(ctx, input); err != nil { // the SDK retries the throttled call
		log.Fatal(err)
	}
	emulator.Clock().Advance(31 * 24 * time.Hour)

	fmt.Println("calls:", emulator.Calls().Count("ecr:CreateRepository"))
	fmt.Println("throttled:", emulator.Calls().Errors("ecr:CreateRepository"))
	// Output:
	// calls: 2
	// throttled: 1
}
