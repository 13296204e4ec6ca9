"""What servers say about themselves, and about their rules: the most general wordings, read last."""

from __future__ import annotations

from sender.core.meanings.meaning import CONTENT, MAILBOX, OPENING, RECIPIENT, SENDER, Meaning, says
from sender.core.outcome import Reason, Scope

STATE: tuple[Meaning, ...] = (
    says(
        "one mailbox out of reach for now",
        Reason.RECEIVER_ERROR,
        Scope.RECIPIENT,
        """
        {temporary} .. {mailbox}, {mailbox} .. {temporary}, mailbox .. busy, mailbox .. locked, mailbox in use,
        {mailbox} .. unavailable, {mailbox} .. not available, {mailbox} .. lookup, lookup .. {mailbox},
        unable to .. {mailbox}, can not .. {mailbox}, could not .. {mailbox}, {mailbox} .. can not,
        {mailbox} .. could not, {mailbox} .. error, {mailbox} .. unreachable, {mailbox} .. offline,
        {mailbox} .. maintenance, {mailbox} .. migrat*, {mailbox} .. being moved, local delivery fail*,
        delivery .. failed .. {mailbox}
        """,
        codes=("4",),
        stages=MAILBOX,
        unless="""
        lookup failure, lookup error, lookup failed, system resources, policy, abuse, storage,
        {message} .. content, service
        """,
    ),
    says(
        "not now",
        Reason.GREYLISTED,
        Scope.RECIPIENT,
        "service currently unavailable, service unavailable",
        codes=("450",),
        stages=RECIPIENT,
    ),
    says(
        "not to you",
        Reason.REPUTATION,
        Scope.LANE,
        """
        service currently unavailable, service unavailable, service not available
        """,
        codes=("521",),
    ),
    says(
        "not accepting our connections",
        Reason.REPUTATION,
        Scope.LANE,
        "not accepting .. connections, not accept .. connections",
        codes=("5",),
        stages=OPENING,
    ),
    says(
        "overload",
        Reason.OVERLOADED,
        Scope.LANE,
        """
        busy, overload*, over load*, load too high, too much load, high load, load average, server load,
        system load, heavy load, heavily loaded, under load, out of resources, no resources,
        resources .. unavailable/exhausted/exceeded, insufficient .. resources, insufficient .. system,
        insufficient .. memory, system resources, queue quota, system storage, insufficient .. storage,
        storage .. shortage, space shortage, not enough .. disk, disk full, disk is full, system full,
        system is full, no space left, no space, low on disk, low on space, disk space, free space, out of memory,
        memory, too many open files, file table, fork, process*, no .. workers, capacity, queue full, queue is full,
        queue .. too long, spool full, too much work, backlog, congest*, saturat*, service unavailable,
        service currently unavailable, service temporarily unavailable, service not available,
        service is .. unavailable, service .. not available, service .. unavailable, services unavailable,
        server unavailable, server .. unavailable, server not available, server .. not available, host unavailable,
        system not accepting, system unavailable, not accepting network, not accepting .. messages,
        not accepting .. connections, not accepting .. mail, unable to accept, shutting down, shutdown, shut down,
        going down, restart*, reboot*, maintenance, offline, out of service, out of order, standby, server ports,
        all ports, temporarily closed, temporarily down, server down, is down, uberlastet, ueberlastet, ausgelastet,
        wartung*, dienst .. nicht verfugbar, dienst nicht, nicht erreichbar, speicherplatz, surcharge*, sature,
        occupe, indisponible*, sobrecarga*, ocupado, no disponible, mantenimiento, indisponivel, manutencao,
        sovraccaric*, occupato, non disponibile, manutenzione, overbelast*, bezet, niet beschikbaar, onderhoud,
        przeciazon*, zajet*, niedostepn*, konserwacj*, перегруж*, занят, недоступ*, обслуживани*, 繁忙, 忙,
        系统负载, 服务不可用, 維持, 维护, 混雑, メンテナンス, pretizen*, nedostupn*, udrzb*, mesgul, upptagen
        """,
        unless="""
        polic*, milter, content filter, scanner, recipient .. processed, processing .. error, process the,
        process your, process this, process message, could not process, error .. process*
        """,
    ),
    says(
        "policy about us",
        Reason.POLICY,
        Scope.LANE,
        """
        client .. denied, client .. rejected, client host rejected, {our_address} .. polic*, ip based,
        not authenticated, authentication required, must authenticate, authenticate first,
        requires authentication, authentication .. required, not accept .. connection*, connection refused,
        connection rejected, connection denied, host access, access .. from your, no access, no smtp service,
        does not accept mail, not welcome, smtp service .. not available to you, geographic, country, countries,
        ipv6, connect* .. not allowed, connect* .. denied, not authorized to connect,
        {our_address} .. not authori*, whitelist*, allowlist*, white list*, access list, acl
        """,
        stages=OPENING | SENDER | MAILBOX,
        unless="recipient address rejected, {sender}, upstream, database, said",
    ),
    says(
        "policy about a recipient",
        Reason.POLICY,
        Scope.RECIPIENT,
        """
        polic*, recipient address rejected, access denied, not authori*, not permitted, prohibited, restrict*,
        administrative*, administrator, not allowed, denied, forbidden, go away, not accept* .. from,
        only accepts, internal only, members only, moderat*, not a member, closed list, private, security,
        richtlinie*, verweigert, verboten, nicht erlaubt, nicht zugelassen, unzulassig, politique, interdit*,
        non autoris*, politica*, prohibid*, no permitid*, no autorizad*, denegad*, proibid*, nao permitid*,
        nao autorizad*, negado, vietat*, non consentit*, non autorizzat*, negato, beleid, verboden,
        niet toegestaan, geweigerd, polityk*, zabronion*, niedozwolon*, odmow*, политик*, запрещен*,
        не разрешен*, отказано, 策略, 禁止, 不允许, 拒绝, ポリシー, 許可
        """,
        stages=RECIPIENT,
        unless="{message} .. polic*, temporary",
    ),
    says(
        "policy",
        Reason.POLICY,
        Scope.MESSAGE,
        """
        polic*, access denied, access .. denied, not authori*, not permitted, prohibited, restrict*,
        administrative*, administrator, not allowed, forbidden, go away, site rule*, local rule*, by rule,
        transport rule*, mail flow rule*, security, richtlinie*, verweigert, nicht erlaubt, politique,
        interdit*, non autoris*, politica*, prohibid*, no permitid*, no autorizad*, denegad*, proibid*,
        nao permitid*, nao autorizad*, negado, vietat*, non consentit*, non autorizzat*, beleid, verboden,
        niet toegestaan, polityk*, zabronion*, niedozwolon*, odmow*, политик*, запрещен*, не разрешен*,
        отказано, 策略, 禁止, 不允许, ポリシー, 許可
        """,
        unless="temporary",
    ),
    says(
        "error over a message",
        Reason.RECEIVER_ERROR,
        Scope.MESSAGE,
        """
        scanner, scan*, content filter*, filter .. error, filter .. unavailable, filter .. fail*,
        could not process .. {message}, can not process .. {message}, unable to process .. {message},
        error processing .. {message}, error .. processing .. {message}, message .. could not be processed,
        message .. can not be processed, local error in processing, error in processing,
        can not accept .. message .. error, not accept .. message .. error, transaction failed .. error,
        error .. transaction failed, antispam .. unavailable, virus check
        """,
        stages=CONTENT,
    ),
    says(
        "error of the server",
        Reason.RECEIVER_ERROR,
        Scope.LANE,
        """
        internal .. error, internal .. problem, internal .. failure, server .. error, server .. problem,
        server .. failure, system .. error, system .. problem, system .. failure, local .. error, local .. problem,
        local .. failure, local error, error in processing, local configuration, configuration .. error,
        configuration .. problem, misconfigur*, server configuration, lookup .. fail*, lookup .. error,
        temporary lookup, dns .. error/fail*/problem/timeout/temporar*, dns temporar*, database, db error, sql,
        ldap, backend, back end, upstream, queue file, write error, read error, unable to read, can not read,
        could not read, i/o error, disk error, unable to open, unable to create, unable to write, can not open,
        can not create, can not write, could not open, could not create, could not write, could not connect,
        can not connect, unable to connect, connection to .. fail*, connection refused by, no connection, next hop,
        nexthop, resolver, milter, proxy .. error, panic, crash*, exception, fatal, bug, software error,
        technical .. problem*/difficult*/error, technische*, unexpected error, unexpected failure, operating system,
        child process, policy server, policy service, tls not available, tls .. not available, certificate,
        handshake, unable to accept message, queue .. error, spool, qq *, temporary server, verify .. temporarily,
        license*, replicat*, secondary server, temporary .. directory, storage error, delivery system,
        greeting fail*, interner fehler, server fehler, serverfehler, systemfehler, technischer fehler,
        erreur interne, erreur systeme, probleme technique, error interno, error del servidor, error de sistema,
        problema tecnico, erro interno, erro do servidor, errore interno, errore del server, errore di sistema,
        interne fout, serverfout, technisch probleem, blad wewnetrzny, blad serwera, wewnetrzny blad,
        problem technicz*, внутренн* ошибк*, ошибк* сервера, системн* ошибк*, техническ*, 系统错误, 内部错误,
        服务器错误, 系统内部, システムエラー, 内部エラー, サーバエラー, vnitrni chyba, sunucu hatasi
        """,
    ),
)
