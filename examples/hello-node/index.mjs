// Says hello, and which sandbox says it.

export const handler = async (event, context) => {
  const name = event?.name ?? "world";
  console.log(`greeting ${name}`);
  return {
    message: `Hello, ${name}!`,
    node: process.versions.node,
    memory_mb: Number(context.memoryLimitInMB),
    log_stream: context.logStreamName,
  };
};
