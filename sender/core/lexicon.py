"""The nouns that the wordings are made of, each in the languages in which servers speak.

Written as `wording.py` reads it: parted by commas, without accents, `*` for any ending. English first, then German,
French, Spanish and Portuguese, Italian, Dutch, Polish, Russian, Chinese and Japanese, others.
"""

from __future__ import annotations

LEXICON = {
    # -- who and what ---------------------------------------------------------------------------------------------
    "mailbox": """
        @, user, users, user name, mail box, mail boxes, mail drop, recipient, rcpt, receiver, recip, addressee,
        account, inbox, alias, address, email address, subscriber, delivery address, person, local part,
        distribution group, mailing list, list, group, username, folder, benutzer*, postfach, postfachs,
        mailkonto, konto, empfanger*, empfaenger*, adressat*, nutzer*, adresse, utilisateur*, destinataire*,
        boite, bal, compte, usuario*, destinatari*, buzon, casilla, cuenta, direccion, caixa, conta, utilizador,
        endereco, utente, casella, indirizzo, gebruiker*, postvak, postbus, ontvanger*, adres, geadresseerde,
        uzytkownik*, skrzynk*, odbiorc*, adresat*, konta, пользовател*, ящик*, получател*, адрес*, аккаунт*,
        абонент*, 用户, 收件人, 邮箱, 信箱, 帐号, 账号, 帐户, 账户, 收信人, 使用者, ユーザ, 宛先, 受信者,
        受取人, メールボックス, アドレス, uzivatel*, schrank*, prijemce, adresata, mottagare, bruger, bruker,
        brevlada, kullanici, posta kutusu, alici, felhasznalo, postafiok, cimzett, yonghu, shoujianren, youxiang
        """,
    "recipients": """
        recipients, rcpts, rcpt, recipient count, recipient/receiver number, number of recipients, addressees,
        rcpt to, empfanger, empfaenger, destinataires, destinatarios, destinatari, ontvangers, geadresseerden,
        odbiorcow, adresatow, получателей, адресатов, 收件人, 宛先, 受信者, prijemcu, mottagare, alici*
        """,
    "message": """
        message, messages, mail, mails, email, emails, letter*, msg, msgs, transaction*, deliver*, submission*,
        bulk, nachricht*, zustellung*, courriel*, envois, correo*, mensaje*, mensage*, messaggi*, bericht*,
        berichten, wiadomosc*, listow, maili, письм*, писем, сообщени*, 邮件, 信件, メール, メッセージ, zprav*,
        posta, ileti*, youjian
        """,
    "connection": """
        connection*, connexion*, session*, smtp session*, concurrency, simultaneous connect*, smtp connect*,
        verbindung*, sitzung*, conexion*, conexao, conexoes, sesion*, sessao, sessoes, conness*, sessioni,
        sessione, verbinding*, sessies, polacz*, sesj*, соединени*, подключени*, сесси*, 连接, 会话, 接続,
        セッション, spojeni, anslutning*, baglanti*, lianjie
        """,
    "our_address": """
        ip, ips, ip address*, client host, your host, your hosts, your server, your servers, your mail servers,
        your network, your isp, your address, netblock, net block, subnet, ip range, network range, cidr,
        remote host, connecting host, connecting server, sending host, sending server, sending mta, sending ip,
        sender ip, source ip, client ip, your mail server, client address, source address, host ip, remote ip,
        server ip, the host, sending system, originating ip, mail server, ip adresse, ihr server, ihrer ip,
        adresse ip, votre serveur, direccion ip, su servidor, endereco ip, seu ip, indirizzo ip, ip adres,
        adres ip, adresu ip, adresie ip, ip адрес*, ваш сервер, вашего сервера, 您的ip, 该ip, 发信ip, 来源ip,
        ipアドレス, client, host ~, relay ip, ip adresi
        """,
    "our_domain": """
        sender domain, sending domain, from domain, your domain, domain name of sender, sender s domain,
        return path domain, mail from domain, envelope domain, header from domain, dkim domain, spf domain,
        url domain*, domain reputation, domain of sender, absenderdomain, absender domain, ihre domain,
        domaine expediteur, domaine de l expediteur, votre domaine, dominio del remitente, dominio remitente,
        dominio do remetente, dominio mittente, dominio del mittente, domein van de afzender, afzenderdomein,
        domena nadawcy, domeny nadawcy, домен отправителя, домена отправителя, 发件人域名, 发信域名, 发件域,
        送信元ドメイン, from header domain
        """,
    "sender": """
        sender, sender s, sender address, mail from, from address, your email address, return path, envelope sender,
        envelope from, reverse path, originator, sending address, sender email, sender mail, absender*, expediteur*,
        emetteur*, remitente*, remetente*, mittente*, afzender*, nadawc*, отправител*, 发件人, 发信人, 寄件人,
        送信者, 差出人, odesilatel*, avsandar*, gonderen, gonderici, fajianren
        """,
    "domain": """
        domain, domains, recipient domain, mail domain, domain part, host name, host, mx, domain name, domane,
        domaene, domaine, dominio*, domein*, domen*, домен*, 域名, 域, ドメイン, etki alani
        """,
    # -- what is the matter with it -------------------------------------------------------------------------------
    "too_many": """
        too many, to many, too much, too numerous, excess* number, excessive, max* number of, exceed* number,
        more than, more messages/mails/emails than, zu viele*, zuviele*, zu hohe anzahl, maximale anzahl,
        trop de, trop d, nombre max*, nombre de, demasiad*, muchas, muchos, excesiv*, excesso de, excessiv*,
        numero max*, muitas, muitos, troppi, troppe, troppo, te veel, teveel, maximaal aantal, zbyt wiele,
        zbyt duzo, za duzo, za wiele, zbyt duza liczba, слишком много, слишком большое, превышено число,
        превышено количество, большое количество, 过多, 太多, 過多, 多すぎ, 过于频繁, prilis mnoho, for manga,
        for mange, cok fazla
        """,
    "one_session": """
        per connection/session, in/on/over/for/within/during this/one/a/single/same/current/the connection/session,
        this session, each session, session limit, in one connection, from one session,
        per smtp session/connection, pro verbindung/sitzung,
        in/dieser/je einer/dieser/verbindung verbindung/sitzung, dans une/cette connexion/session,
        en una/esta conexion/sesion, in una/questa connessione/sessione, numa/nesta conexao/sessao,
        in een/deze verbinding/sessie, w jednym/tym polaczeniu, за одно соединение, за одну сессию,
        в одном соединении, в одной сессии, par connexion/session, por conexion/sesion, por conexao/sessao,
        per connessione/sessione, per verbinding/sessie, na polaczenie/sesje, w sesji, за сессию, за соединение,
        в сессии, 每个连接, 每次连接, 单次连接, per lianjie
        """,
    "limit": """
        limit, limits, limited, limitation*, maximum, max, quota, quotas, threshold, cap, ceiling, allowance,
        restrict*, rate policy, grenze, obergrenze, kontingent, hochstzahl, limite*, limita*, plafond, cuota,
        cota, massimo, soglia, limiet, maximale, limitu, limicie, maksymaln*, лимит*, ограничени*, предел*,
        максимальн*, 限制, 上限, 限额, 制限, omezen*, sinir*, xianzhi
        """,
    "exceeded": """
        exceed*, reached, hit, hits, over, above, surpass*, beyond, overrun, uberschr*, ueberschr*, erreicht,
        depass*, atteint*, superad*, alcanzad*, excedid*, excedio, excedeu, excede, ultrapass*, atingid*,
        superat*, raggiunt*, overschr*, bereikt, przekroc*, osiagn*, превыш*, достигнут*, исчерпан*, 超过, 超出,
        超限, 已达, 达到, 超過, 達し, prekroc*, asildi, chaoguo
        """,
    "too_fast": """
        rate limit*, rate exceed*, rate control*, rate too high, high rate, throttl*, too fast, too quick*,
        too often, too frequent*, too rapid*, slow down, slow* it down, message rate, mail rate, email rate,
        sending rate, mailing rate, send rate, delivery rate, unusual rate, high volume, volume of,
        too high a rate, flood*, burst*, backoff, back off, high frequency, frequency limit*, frequency,
        frequently, ratelimit*, rate of, rate is, velocity, zu schnell, zu haufig, zu haeufig, zu oft,
        trop vite, trop rapide*, trop souvent, trop frequen*, debit, demasiado rapid*, muy rapid*,
        con demasiada frecuencia, frecuencia, tasa, muito rapid*, taxa de envio, taxa, frequencia,
        troppo veloc*, troppo frequent*, troppo spesso, te snel, te vaak, zbyt szybko, zbyt czesto,
        слишком часто, слишком быстро, частот*, скорость, 频率, 频繁, 过快, 速率, 頻度, 頻繁, 速すぎ,
        prilis rychle, prilis casto, pinlv
        """,
    "a_time": """
        per hour, per minute, per second, hourly, this hour, an hour, in the last, in the past, short period,
        short time, short amount of time, within, per unit of time, time period, time interval, time frame,
        per min, per sec, per h, in 1h, recently, period of time, last hour, last minutes, last minute,
        this minute, pro stunde, pro minute, je stunde, par heure, par minute, por hora, por minuto,
        por segundo, all ora, per uur, per minuut, na godzine, na minute, в час, в минуту, за час, за последн*,
        每小时, 每分钟, 小时内, 分钟内, 短时间, 時間あたり, hodinu
        """,
    "a_day": """
        daily, per day, a day, 24 hours, 24 hour, 24h, today, this day, day s, each day, day, taglich*,
        taeglich*, pro tag, tages*, journalier*, journaliere*, par jour, quotidien*, diari*, por dia, al dia,
        per dag, dagelijks*, giornalier*, al giorno, dzienn*, na dobe, dobow*, суточн*, дневн*, в день, в сутки,
        за сутки, 每日, 每天, 当天, 当日, 一天, 今日, 1日, gunluk, denni
        """,
    "absent": """
        unknown*, not found, not be found, not exist*, no longer exist*, no such, does not exist, do not exist,
        did not exist, may not exist, not known, not a known, nonexist*, non exist*, inexist*, invalid, not valid,
        not a valid, no valid, no longer valid, unrecogni*, not recogni*, not listed, not here, not local,
        not a local, not a user, not a customer, not our customer, not have an account, not have a mail box,
        not have an email, not have account, no longer available, no longer work*, has left, no longer with,
        no longer at, no longer employed, not registered, never existed, not present, not in our, could not find,
        can not find, can not be found, unable to find, not able to find, unrout*ble, undeliverable, no mail box,
        no account, no recipient, no one, nobody, bad destination, bad recipient, bad address, was removed,
        been removed, been deleted, was deleted, is deleted, has moved, no match*, not match*, can not be resolved,
        not resolve, could not be resolved, not locate*, is gone, ceased, wrong, incorrect, misspelled,
        does not receive, not a legal, not hosted here, not handled here, unbekannt*, existiert nicht,
        nicht gefunden, ungultig*, ungueltig*, nicht vorhanden, gibt es nicht, nicht bekannt, nicht bei uns,
        kein solcher, kein postfach, inconnu*, n existe pas, n existe plus, introuvable*, invalide*, pas trouve*,
        non trouve*, errone*, aucun utilisateur, desconocid*, no existe, no encontrad*, no se encontro, no encontro,
        no valid*, no es valid*, invalid*, no se ha encontrado, desconhecid*, nao existe*, nao encontrad*,
        nao foi encontrad*, nao e valid*, sconosciut*, non esiste, non trovat*, non valid*, non e valid*,
        non e stato trovato, non presente, onbekend*, bestaat niet, niet gevonden, ongeldig*, bestaat niet meer,
        nieznan*, nie istnieje, nie znalezion*, nieprawidlow*, brak, niepoprawn*, не найден*, не существует,
        неизвест*, нет такого, не зарегистрирован*, недействител*, отсутствует, не обнаружен*, несуществующ*,
        неверн*, нет, 不存在, 未找到, 无效, 没有找到, 找不到, 未知, 不正确, 没有该, 查无此, 存在しま, 存在しない,
        見つかりま, 不明, 無効な, ありません, neexistuje, neznam*, nenalezen*, finns inte, okand, bulunamadi,
        mevcut degil, gecersiz, nem talalhato, ismeretlen, bu cunzai, bucunzai
        """,
    "full": """
        full, over quota, overquota, quota exceed*, exceed* quota, exceed* storage, exceed* the storage,
        exceed* disk, exceed* allocated, exceed* mail box, exceed* its quota, exceed* her/his/their quota,
        exceed* the quota, exceed* limit on space, out of storage, out of space, out of disk, out of quota,
        over the storage, over its quota, over his quota, over their quota, over the quota, over disk, over limit,
        over storage, over the maximum allowed size, size limit exceed*, storage limit, storage full,
        storage exceed*, storage quota, storage allocation exceed*, mail box limit exceed*, quota violation,
        quota violated, quota reached, quota is reached, insufficient storage, insufficient space,
        insufficient disk, insufficient quota, no space, no storage, not enough space, not enough storage,
        not enough quota, no room, lack of space, too full, limit of space, above quota, beyond quota, past quota,
        quota limit, disk quota, bloated, crammed, space left, used up, exhausted allowed,
        exhausted its/their/his/the, voll, uberfullt, ueberfuellt, ubergelaufen, speicherplatz,
        kontingent uberschritten, quota uberschritten, pleine, plein, saturee, saturé, remplie, quota depasse*,
        depasse* quota, depasse* son quota, espace insuffisant, plus d espace, llen*, cuota excedid*,
        excedid* cuota, excedio su cuota, excedido su cuota, cuota superad*, sin espacio, espacio insuficiente,
        cuota de disco, cheia, cheio, lotad*, cota excedid*, excedeu a cota, excedeu o limite de espaco, sem espaco,
        espaco insuficiente, quota excedid*, excedeu a quota, pien*, quota superat*, superat* la quota,
        spazio esaurito, spazio insufficiente, quota esaurita, ha superato lo spazio, vol, quota overschreden,
        pelna, pelne, przepelnion*, przekroczon* limit pojemnosci, przekroczona pojemnosc, brak miejsca,
        przekroczona quota, przekroczyl* quot*, переполн*, квот*, нет места, недостаточно места, 已满, 满了,
        超过配额, 超出配额, 空间不足, 容量不足, 容量已, 容量超, 超容, いっぱい, 容量を, 容量オーバー, 満杯, plna,
        full up, doluluk, dolu, kotasi, fullt, megtelt
        """,
    "disabled": """
        disabled, inactive, inactivity, suspended, suspend, archive*, no longer accepts, suspension, deactivated,
        locked, not active, not activated, closed, frozen, expired, on hold, terminated, dormant, archived,
        no longer active, no longer in use, not in use, not currently accepting, discontinued, turned off, blocked,
        deprecated, retired, cancelled, canceled, not accepting, not accept mail, not accept messages,
        not accept email, not accept any, is no longer accepting, unavailable for delivery, not enabled, abandoned,
        disactivated, been disabled, administratively disabled, temporarily disabled, unused, shut down,
        deaktiviert*, gesperrt*, inaktiv*, stillgelegt*, abgeschaltet, nicht aktiv, geschlossen, gekundigt,
        gekuendigt, desactiv*, inactif, suspendu*, bloque*, ferme*, cloture*, resilie*, deshabilitad*, suspendid*,
        inactiv*, bloquead*, cancelad*, cerrad*, desativad*, desabilitad*, suspens*, inativ*, encerrad*,
        disabilitat*, disattivat*, sospes*, inattiv*, bloccat*, chius*, disattiva, uitgeschakeld*, geblokkeerd*,
        inactief, opgeheven, gedeactiveerd*, afgesloten, opgezegd, zablokowan*, nieaktywn*, wylaczon*, zawieszon*,
        zamkniet*, dezaktywowan*, отключен*, заблокирован*, неактивн*, приостановлен*, деактивирован*, закрыт*,
        не активен, 停用, 禁用, 冻结, 被锁, 锁定, 注销, 未激活, 封禁, 無効, 停止, 休止, zablokovan*, deaktivovan*,
        zrusen*, inaktiverad, devre disi, askiya, kapatil*, letiltva
        """,
    "blocked": """
        block*, denies, deny, refuses, rejects, rejecting, refusing, black list*, blocking, block list*,
        deny list*, denied, listed, listing, listings, banned, ban, bans, refused, rejected, reject,
        on our list, blackholed, embargo*, not allowed, bad reputation, poor reputation, locked out,
        penalty box, denylist*, barred, prohibited, gesperrt*, geblockt*, blockiert*, blacklist*, abgelehnt*,
        abgewiesen, sperrliste, schwarze* liste, bloque*, liste noire, refuse*, rejete*, bannie, banni,
        bloquead*, lista negra, rechazad*, denegad*, rejeitad*, recusad*, negado, bloccat*, lista nera,
        rifiutat*, respint*, geblokkeerd*, zwarte lijst, geweigerd*, zablokowan*, czarn* list*, czarnej liscie,
        odrzucon*, заблокирован*, блокир*, черн* списк*, черном списке, запрещен*, отклонен*, 黑名单, 拦截,
        拒绝, 屏蔽, 封锁, 封禁, 被封, ブラックリスト, 拒否, ブロック, zablokovan*, cerne listine, odmitnut*,
        blockerad*, spärr*, engellen*, kara liste
        """,
    "spam": """
        spam, spams, spam like, unwanted, spammy, spammer*, spamming, spamtrap*, junk, unsolicited, ube, uce,
        bulk mail, bulk email, mass mail*, unerwunscht*, unerwuenscht*, indesirable*, pourriel*, no deseado*,
        correo basura, indesejad*, indesiderat*, posta indesiderata, ongewenst*, niechcian*, спам*, нежелательн*,
        垃圾, 迷惑メール, スパム, istenmeyen, nevyzadan*, laji
        """,
    "virus": """
        virus*, malware, malicious, infect*, trojan, worm, ransomware, clamav, eicar, phish*, phishing, scam,
        fraud*, harmful, schadsoftware, schadcode, viren, malveillant*, malicios*, virus informatic*, zlosliw*,
        wirus*, вирус*, вредонос*, 病毒, ウイルス, exploit, spoofed link*, heuristics, sanesecurity,
        macro virus, viry
        """,
    "temporary": """
        temporar*, transient, try again, try later, later, retry, currently, at this time, at the moment,
        right now, for now, momentan*, vorubergehend*, voruebergehend*, spater, spaeter, plus tard,
        temporairement, momentanement, temporal*, mas tarde, temporaneamente, temporane*, piu tardi, riprova,
        tijdelijk, later opnieuw, tymczasow*, pozniej, временно, позже, 稍后, 暂时, 一時的, 後ほど, しばらく,
        docasne, gecici
        """,
    "dns_block_list": """
        dnsbl, dns bl, rbl, rbls, rhsbl, spamhaus, spam haus, spamcop, spam cop, sorbs, barracuda central,
        barracudacentral, uceprotect*, uce protect*, abuseat, cbl, xbl, sbl, pbl, css, zen, mailspike,
        sender score, senderscore, sender base, senderbase, invaluement, ivmsip*, psbl, nix spam, nixspam, truncate,
        backscatterer, abusix, talos, cloudmark, csi, spfbl, dns black list*, realtime black*, real time black*,
        dns block list, dns based block list, block list, blocklist, hostkarma, junk email filter, spamrats,
        rats, dyna, nospam list, trend micro rbl, mail abuse, reputation block*, drbl, s5h, blocklist de, gbudb
        """,
    "domain_block_list": """
        dbl, surbl, uribl, rhsbl, domain block list*, domain black list*, url black list*, uri black list*,
        ivmuri, url block list*, domain blacklist*, multi surbl
        """,
    "reputation": """
        reputation, ip score, senderscore, sender score, sbrs, talos, trust level, complaint*, user complaints,
        unexpected volume, abuse, abusive, spam source, spam from, spam sent from, spam originat*,
        source of spam, spam activity, spamtrap*, spam trap*, bad neighbo*, compromised, open proxy, open relay,
        botnet*, dynamic ip, dynamic address*, dynamic host, dynamic range, dynamic pool, dial up, dialup,
        dynamic/dynamically assigned, residential, ruf, reputation de, reputacion, reputacao, reputazione,
        reputatie, reputacj*, репутаци*, 信誉, 信譽, 评级, 評判, レピュテーション, 評価, itibar, povest
        """,
}
