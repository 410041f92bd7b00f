package awsemulator

// publishedRates are the rates of calls that AWS publishes for ECR.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
var publishedRates = []Rate{
	{Operation: "ecr:GetAuthorizationToken", PerSecond: 500},
	{Operation: "ecr:BatchGetImage", PerSecond: 2000},
	{Operation: "ecr:GetDownloadUrlForLayer", PerSecond: 3000},
	{Operation: "ecr:BatchCheckLayerAvailability", PerSecond: 1000},
	{Operation: "ecr:InitiateLayerUpload", PerSecond: 100},
	{Operation: "ecr:CompleteLayerUpload", PerSecond: 100},
	{Operation: "ecr:UploadLayerPart", PerSecond: 500},
	{Operation: "ecr:PutImage", PerSecond: 10},
}
