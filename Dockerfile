# syntax=docker/dockerfile:1
FROM node:24-slim AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

FROM base AS build
# Packages' own scripts fetch test servers and a second Node: nothing the compiler needs.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY connectors ./connectors
RUN npm run build

FROM base AS dependencies
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM node:24-slim
ENV NODE_ENV=production \
    TAILRACE_CONFIG=/etc/tailrace/tailrace.yaml \
    DATA_DIR=/var/lib/tailrace
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/tailrace \
    && chmod 755 dist/src/cli/main.js \
    && install -d -o node -g node -m 700 /var/lib/tailrace
USER node
# The event log: give it a disk that outlives the container.
VOLUME /var/lib/tailrace
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["node", "--eval", "fetch('http://127.0.0.1:8642/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tailrace"]
CMD ["run"]
